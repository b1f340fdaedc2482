"""Series of DICOM files: which there are in a folder, and the volume of one.

SimpleITK (GDCM) decodes the files, one slice each, and applies rescale slope and intercept. Which slices make a volume
and in what order is decided here, by their positions: file names and instance numbers say nothing reliable of space.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mmseg_medical.geometry.errors import COPY_AGAIN, check_claim, file_error
from mmseg_medical.geometry.formats.dicom_stack import DicomSlice, stack_affine
from mmseg_medical.geometry.volume import Volume
from mmseg_medical.optional import import_optional

# Must be readable; others are looked into.
_SUFFIXES = ('.dcm', '.dicom', '.ima')
# Storage classes without pixels of a slice: directories, structured reports, presentation states, raw data and
# segmentations, documents, radiotherapy (DICOM PS3.6, annex A)
_NO_IMAGES = tuple(
    b'1.2.840.10008.' + end
    for end in (b'1.3.10', *(b'5.1.4.1.1.' + kind for kind in (b'88.', b'11.', b'66', b'104.', b'481.')))
)
_SOP_CLASS = b'\x02\x00\x02\x00UI'


@dataclass(frozen=True)
class DicomSeries:
    """Files that were recorded together.

    Attributes:
        uid (str): Series instance UID.
        description (str): What the scanner calls it; may be empty.
        modality (str): E.g. ``'CT'`` or ``'MR'``.
        files (tuple[Path, ...]): Sorted by name.
    """

    uid: str
    description: str
    modality: str
    files: tuple[Path, ...]

    def __str__(self) -> str:
        return f'{self.uid} ({self.modality or "?"}, {self.description or "no description"}, {len(self.files)} files)'


def list_dicom_series(folder: str | Path) -> list[DicomSeries]:
    """List the series in a folder and the folders in it.

    Args:
        folder (str | Path): Other files may lie there too.

    Returns:
        list[DicomSeries]: Sorted by UID; empty if there are none.

    Raises:
        OSError: The folder or a file cannot be opened.
        ImportError: SimpleITK is not installed.
        ValueError: A DICOM file is damaged.
    """
    headers: dict[str, list[tuple[Path, Any]]] = {}
    for path in _dicom_files(Path(folder)):
        reader = _header(path)
        headers.setdefault(_text(reader, '0020|000e'), []).append((path, reader))
    return [
        DicomSeries(
            uid,
            _text(entries[0][1], '0008|103e'),
            _text(entries[0][1], '0008|0060'),
            tuple(path for path, _ in entries),
        )
        for uid, entries in sorted(headers.items())
    ]


def read_dicom_series(folder: str | Path, series_uid: str | None = None) -> Volume:
    """Read a series of slices as a volume.

    Args:
        folder (str | Path): Where its files lie, in folders below it too.
        series_uid (str | None): Which one, where there are several.

    Returns:
        Volume: axes (I, J, K): columns and rows of a slice, slices in the direction of rows x columns. Values have the
        rescale slope and intercept of each slice applied: integers, or float32 where these are not whole. Slices that
        are shifted against each other evenly (a tilted gantry) give a sheared affine, which is where they are.

    Raises:
        OSError: The folder or a file cannot be opened.
        ImportError: SimpleITK is not installed.
        ValueError: There is none or another series, there are several and none was chosen, a file is damaged, holds
            colours or several frames or says not where it is; slices differ in size or direction, are missing, or lie
            in the same place twice.
    """
    series = _choose(Path(folder), series_uid)
    readers = [_header(path) for path in series.files]
    slices = [_slice(path, reader) for path, reader in zip(series.files, readers, strict=True)]
    order, affine = stack_affine(slices)
    columns, rows = slices[0].size
    array = np.empty((0, rows, columns))
    for number, index in enumerate(order):
        values = _values(series.files[index], readers[index])
        if number == 0:
            array = np.empty((len(order), rows, columns), values.dtype)
        array = array.astype(np.result_type(array, values), copy=False)  # the scale may change from slice to slice
        array[number] = values
    return Volume(array.transpose(2, 1, 0), affine, str(folder))


def _choose(folder: Path, series_uid: str | None) -> DicomSeries:
    found = list_dicom_series(folder)
    if not found:
        raise file_error(folder, expected='a DICOM series', found='a folder without DICOM images')
    listed = '; '.join(map(str, found))
    if series_uid is None and len(found) > 1:
        raise file_error(
            folder,
            expected='one DICOM series',
            found=f'{len(found)}: {listed}',
            remedy='Choose one: read_dicom_series(folder, series_uid=...).',
        )
    chosen = [series for series in found if series_uid in (None, series.uid)]
    if not chosen:
        raise file_error(folder, expected=f'a DICOM series with the UID {series_uid}', found=listed)
    return chosen[0]


def _dicom_files(folder: Path) -> Iterator[Path]:
    if not folder.is_dir():
        raise FileNotFoundError(f'{folder}: no such folder')
    for root, folders, names in os.walk(folder):
        folders.sort()
        for name in sorted(names):
            path = Path(root, name)
            with path.open('rb') as file:
                start = file.read(1024)
            named = path.suffix.lower() in _SUFFIXES
            if (named or start[128:132] == b'DICM') and not _without_pixels(start):
                yield path


def _without_pixels(start: bytes) -> bool:
    """Whether the head of the file names a class that is no image."""
    place = start.find(_SOP_CLASS, 132)
    return place > 0 and start[place + len(_SOP_CLASS) + 2 :].startswith(_NO_IMAGES)


def _header(path: Path) -> Any:
    sitk = import_optional('SimpleITK', 'volumes')
    reader = sitk.ImageFileReader()
    reader.SetImageIO('GDCMImageIO')
    reader.SetFileName(str(path))
    try:
        reader.ReadImageInformation()
    except RuntimeError as error:
        raise _damaged(path) from error
    return reader


def _slice(path: Path, reader: Any) -> DicomSlice:
    size, components = tuple(reader.GetSize()), reader.GetNumberOfComponents()
    if components > 1 or any(length > 1 for length in size[2:]):
        raise file_error(
            path,
            expected='one slice with one value a pixel',
            found=f'size {size}, {components} values each',
            remedy='Convert colours to grey values, and files of many frames to NIfTI.',
        )
    bits = _numbers(path, reader, '0028|0100', 'BitsAllocated', 1)[0]
    check_claim(path, size[:2], max(1, int(bits) // 8), path.stat().st_size, compressed=True)  # it may be packed
    rows_apart, columns_apart = _numbers(path, reader, '0028|0030', 'PixelSpacing', 2)
    if not min(rows_apart, columns_apart) > 0:
        raise file_error(path, expected='a positive spacing', found=f'PixelSpacing {rows_apart:g}, {columns_apart:g}')
    directions = _numbers(path, reader, '0020|0037', 'ImageOrientationPatient', 6).reshape(2, 3)
    lengths = np.linalg.norm(directions, axis=1)
    if (np.abs(lengths - 1) > 0.01).any() or np.linalg.norm(np.cross(*directions)) < 0.1:
        raise file_error(path, expected='two directions of length 1', found=f'{directions.tolist()}', remedy=COPY_AGAIN)
    thickness = next((_text(reader, tag) for tag in ('0018|0088', '0018|0050') if _text(reader, tag)), '')
    return DicomSlice(
        path,
        size[:2],
        directions / lengths[:, None],
        (columns_apart, rows_apart),
        _numbers(path, reader, '0020|0032', 'ImagePositionPatient', 3),
        thickness,
    )


def _values(path: Path, reader: Any) -> np.ndarray:
    """Values of a slice, shape (rows, columns)."""
    sitk = import_optional('SimpleITK', 'volumes')
    try:
        values = sitk.GetArrayFromImage(reader.Execute())
    except RuntimeError as error:
        raise _damaged(path) from error
    values = values.reshape(values.shape[-2:])
    return values.astype(np.float32) if values.dtype == np.float64 else values  # of 16 stored bits


def _damaged(path: Path) -> ValueError:
    size = path.stat().st_size
    found = 'a file of zero bytes' if size == 0 else f'{size} bytes that cannot be decoded'
    return file_error(path, expected='a complete DICOM image', found=found, remedy=COPY_AGAIN)


def _text(reader: Any, tag: str) -> str:
    return str(reader.GetMetaData(tag)).strip(' \0') if reader.HasMetaDataKey(tag) else ''


def _numbers(path: Path, reader: Any, tag: str, name: str, count: int) -> np.ndarray:
    text = _text(reader, tag)
    try:
        numbers = np.array([float(number) for number in text.split('\\')])
    except ValueError:
        numbers = np.empty(0)
    if len(numbers) != count or not np.isfinite(numbers).all():
        raise file_error(
            path, expected=f'{count} number{"s" if count > 1 else ""} as {name}', found=repr(text) if text else 'none'
        )
    return numbers
