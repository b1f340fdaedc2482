"""Which times of a series are labelled, and how many pixels of each class a slice has; cached on disk."""

from __future__ import annotations

import hashlib
import json
import warnings
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from mmseg_medical.datasets.errors import DataError, data_error
from mmseg_medical.datasets.slices.files import oriented, read_file, read_grid
from mmseg_medical.datasets.slices.store import volume_entry
from mmseg_medical.datasets.transforms.load_volume_annotations import LoadVolumeAnnotations
from mmseg_medical.files import atomic_write
from mmseg_medical.geometry import axis_directions, read_volume

_FORMAT = 1  # raise it whenever what is counted changes


def labelled_times(path: str | Path, cache_dir: str | Path | None = None) -> list[int]:
    """Times of a label file that have more than one value, counted from 0.

    Args:
        path (str | Path): File of four axes; one of three has time 0.
        cache_dir (str | Path | None): Where the result is kept.

    Raises:
        DataError: The file cannot be read.
    """

    def find() -> list[int]:
        try:
            volume = read_volume(path)
        except (OSError, ValueError) as error:
            raise DataError(str(error)) from error
        array = volume.array if volume.has_channels else volume.array[..., None]
        return [t for t in range(array.shape[-1]) if array[..., t].min() != array[..., t].max()]

    return _cached(cache_dir, 'times', [str(path)], {}, find)


def slice_counts(entry: Mapping[str, Any], num_classes: int, cache_dir: str | Path | None = None) -> np.ndarray:
    """Pixels of each class in each slice of a volume, in the order of the slices of the data set.

    Args:
        entry (Mapping): Of a volume or one of its slices.
        num_classes (int): Labels, after ``label_map``, lie in 0..num_classes-1; 255 is not counted.
        cache_dir (str | Path | None): Where the result is kept.

    Returns:
        np.ndarray: shape (slices, num_classes), int64.

    Raises:
        DataError: There are no labels, they cannot be read, or are no classes.
    """
    volume = volume_entry(entry)
    if volume.get('seg_map_path') is None:
        raise data_error(
            f'case {volume.get("case_id")}',
            expected='labels to count',
            found='no seg_map_path',
            remedy='Count the classes of a labelled part of the data set.',
        )
    key = {k: volume.get(k) for k in ('frame', 'orientation')} | {
        'label_map': sorted((volume.get('label_map') or {}).items()),
        'num_classes': num_classes,
    }
    files = [str(volume['img_path']), str(volume['seg_map_path'])]
    return np.array(_cached(cache_dir, 'counts', files, key, lambda: _count(volume, num_classes)), np.int64)


def _count(volume: Mapping[str, Any], num_classes: int) -> list[list[int]]:
    grid, _ = read_grid(volume['img_path'])
    labels = read_file(volume['seg_map_path'], volume.get('frame'))
    axes = volume.get('orientation') or (None if grid.affine is None else axis_directions(grid))
    if axes is not None:
        labels = oriented(labels, axes)
    read: dict[str, Any] = dict(label_volume=labels, native_grid=labels.grid, label_map=volume.get('label_map'))
    array = LoadVolumeAnnotations(num_classes).transform(read)['gt_seg_map']
    planes = np.moveaxis(array, 2, 0).reshape(array.shape[2], -1)
    return [np.bincount(plane, minlength=num_classes)[:num_classes].tolist() for plane in planes]


def _cached(
    folder: str | Path | None, what: str, files: list[str], key: Mapping[str, Any], make: Callable[[], Any]
) -> Any:
    """Result of ``make``, kept under a name that changes with the files and the key; a damaged file is made again."""
    if folder is None:
        return make()
    stamps = []
    for name in files:
        try:
            stat = Path(name).stat()
        except OSError as error:
            raise data_error(
                name, expected='a readable file', found=error.strerror or str(error), remedy='Check data_root.'
            ) from error
        stamps.append([str(Path(name).absolute()), stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns])
    text = json.dumps([_FORMAT, what, stamps, key], sort_keys=True)
    digest = hashlib.blake2b(text.encode(), digest_size=8).hexdigest()
    path = Path(folder) / f'{Path(files[-1]).name.partition(".")[0]}-{what}-{digest}.json'
    try:
        content = json.loads(path.read_text())
        if zlib.crc32(json.dumps(content['result']).encode()) == content['crc']:
            return content['result']
        warnings.warn(f'{path} is damaged and is made again.', stacklevel=3)
    except OSError:
        pass  # not made yet
    except (ValueError, KeyError, TypeError) as error:
        warnings.warn(f'{path} is damaged ({error}) and is made again.', stacklevel=3)
    result = make()
    try:
        with atomic_write(path) as file:
            file.write(json.dumps(dict(result=result, crc=zlib.crc32(json.dumps(result).encode()))))
    except OSError as error:
        warnings.warn(
            f'{path.parent} cannot be written ({error.strerror}), so that labels are counted at every start. Set '
            'cache_dir of the dataset to a writable folder.',
            stacklevel=3,
        )
    return result
