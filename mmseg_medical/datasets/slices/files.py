"""Reading what the official trees hold: volumes, times of a series, sizes without voxels."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np

from mmseg_medical.datasets.errors import DataError, data_error
from mmseg_medical.errors import did_you_mean
from mmseg_medical.geometry import Grid, Reorient, Volume, read_volume
from mmseg_medical.optional import import_optional


def read_file(path: str | Path, frame: int | None = None) -> Volume:
    """Read a volume, or one time of a series.

    Args:
        path (str | Path): Image or label file.
        frame (int | None): Which time, from 0; None for a file of one volume.

    Returns:
        Volume: shape (I, J, K).

    Raises:
        DataError: The file cannot be read, is a series where a volume is wanted or the reverse, or has no such time.
    """
    volume = read_any(path)
    if frame is None:
        if volume.has_channels or volume.rank != 3:
            raise data_error(
                path,
                expected='one volume of three axes',
                found=f'{volume.array.ndim} axes (shape {volume.array.shape})',
                remedy='A series of times is a set like M&Ms (MnMsDataset); otherwise store the time that is meant.',
            )
        return volume
    if not volume.has_channels:
        raise data_error(
            path,
            expected=f'a series of volumes (four axes), of which time {frame} is wanted',
            found=f'{volume.array.ndim} axes (shape {volume.array.shape})',
            remedy='Files of single times are a set like ACDC (ACDCDataset).',
        )
    times = volume.array.shape[-1]
    if not 0 <= frame < times:
        raise data_error(path, expected=f'time {frame}', found=f'{times} times, from 0', remedy='Copy the file again.')
    return Volume(np.ascontiguousarray(volume.array[..., frame]), volume.affine, volume.source)


def read_grid(path: str | Path) -> tuple[Grid, int | None]:
    """Grid and number of times of a file, from its header alone where that is possible.

    Returns:
        tuple[Grid, int | None]: the grid of three axes; None where the file has one volume.

    Raises:
        DataError: The file cannot be read, or has not three axes (four with times).
    """
    shape, affine = _header(Path(path)) if Path(path).name.endswith(('.nii', '.nii.gz')) else (None, None)
    if shape is None:
        volume = read_any(path)
        shape, affine = volume.array.shape, volume.affine
    if len(shape) not in (3, 4):
        raise data_error(
            path,
            expected='a volume of three axes, or a series of four',
            found=f'shape {tuple(shape)}',
            remedy='Slices that are files of their own are read by mmseg itself.',
        )
    return Grid(tuple(shape[:3]), affine, str(path)), shape[3] if len(shape) == 4 else None


def oriented(volume: Volume, axes: str) -> Volume:
    """Turn a volume to an order of axes, without interpolation; one without an affine stays as it is.

    Args:
        volume (Volume): shape (I, J, K), or (I, J, K, C) with channels.
        axes (str): Where each axis points to, e.g. ``'LPS'``.
    """
    if volume.affine is None:
        return volume
    step = Reorient.plan(volume.grid, axes)
    first = np.moveaxis(volume.array, -1, 0) if volume.has_channels else volume.array
    turned = step.apply(first, 'nearest')
    turned = np.moveaxis(turned, 0, -1) if volume.has_channels else turned
    return Volume(turned, step.target.affine, volume.source, volume.has_channels)


def first_file(candidates: Iterable[Path], what: str) -> Path:
    """First of some names that is a file.

    Raises:
        DataError: None is; it names them, and what the folder has that looks alike.
    """
    tried = list(candidates)
    for path in tried:
        if path.is_file():
            return path
    folder = tried[0].parent
    there = sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []
    raise data_error(
        tried[0],
        expected=f'{what} ({" or ".join(path.name for path in tried)})',
        found='no such file' if folder.is_dir() else f'no folder {folder}',
        remedy='Unpack the release again, or leave the patient out by split_file of the dataset.'
        + did_you_mean(tried[0].name, there),
    )


def read_any(path: str | Path) -> Volume:
    """Read a file, or a folder with a DICOM series, whatever its axes are.

    Raises:
        DataError: It cannot be read.
    """
    try:
        return read_volume(path)
    except (OSError, ValueError) as error:
        raise DataError(str(error)) from error  # one kind for all that is wrong with data; the text names the file


def _header(path: Path) -> tuple[tuple[int, ...] | None, np.ndarray | None]:
    """Shape and affine, or None where the header is not what nibabel takes: reading the file then says why."""
    nibabel = import_optional('nibabel', 'volumes')
    try:
        image = nibabel.load(path)
        shape, affine = tuple(int(n) for n in image.shape), np.asarray(image.affine, np.float64)
        while len(shape) > 3 and shape[-1] == 1:
            shape = shape[:-1]
        Grid(shape[:3], affine)
    except Exception:
        return None, None
    return shape, affine
