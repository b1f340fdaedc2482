from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from mmcv.transforms import BaseTransform

from mmseg_medical.datasets.errors import DataError, data_error
from mmseg_medical.geometry import Volume, check_finite, grid_difference, read_volume
from mmseg_medical.registry import TRANSFORMS


@TRANSFORMS.register_module()
class LoadVolume(BaseTransform):
    """Load an image of two or three axes with its place in space.

    Required keys: ``img_path``: a file, a folder with one DICOM series, or a list of files, one a modality, which
    become the channels. Or ``volume``, in memory: a :class:`~mmseg_medical.geometry.Volume`, an array (*S) or
    (C, *S), or a list of them.

    Added keys:

    - ``img``: float32 (C, *S), axes as the file has them; times and colours become channels.
    - ``native_grid``, ``ori_shape``: grid and size of the file; ``img_shape``, ``affine`` (4, 4) or None,
      ``spacing_mm`` or None: of the array as it is now.
    - ``grid_steps``: empty; what later transforms do to the grid. ``augmentations``: empty; what is drawn.

    Args:
        num_channels (int | None): What the network needs; None takes any number.
        rank (int | None): 2 or 3, what the network needs; None takes both.
    """

    def __init__(self, num_channels: int | None = None, rank: int | None = None) -> None:
        super().__init__()
        if rank not in (None, 2, 3) or (num_channels is not None and num_channels < 1):
            raise ValueError(f'rank must be 2 or 3 and num_channels positive, found {rank} and {num_channels}')
        self.num_channels = num_channels
        self.rank = rank

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Load the image.

        Raises:
            DataError: It cannot be read, is damaged, has NaN or infinite values, another rank or number of channels
                than wanted; or its modalities lie on different grids.
        """
        volumes = self._volumes(results)
        first, subject = volumes[0], _subject(volumes, results)
        for other in volumes[1:]:
            if (difference := grid_difference(first, other)) is not None:
                raise data_error(
                    other.name,
                    expected=f'the grid of the first modality, {first.name}',
                    found=difference,
                    remedy='Register the modalities and resample them onto one grid (geometry.resample_like).',
                )
        self._check_form(volumes, subject)
        image = _stack(volumes, results)
        results.update(
            img=image,
            native_grid=first.grid,
            ori_shape=first.size,
            img_shape=first.size,
            affine=first.affine,
            spacing_mm=first.spacing_mm,
            grid_steps=[],
            augmentations=[],
        )
        results.setdefault('img_path', first.source)
        return results

    def _volumes(self, results: dict[str, Any]) -> list[Volume]:
        given = results.get('volume')
        if given is None:
            paths = results['img_path']
            return [_read(path) for path in ([paths] if isinstance(paths, str | Path) else paths)]
        return [self._as_volume(one) for one in (given if isinstance(given, list | tuple) else [given])]

    def _as_volume(self, given: Any) -> Volume:
        if isinstance(given, Volume):
            return given
        array = np.asarray(given)
        rank = self.rank or min(array.ndim, 3)
        channels = array.ndim == rank + 1
        return Volume(np.moveaxis(array, 0, -1) if channels else array, None, has_channels=channels)

    def _check_form(self, volumes: Sequence[Volume], subject: str) -> None:
        volume = volumes[0]
        if self.rank is not None and volume.rank != self.rank:
            raise data_error(
                subject,
                expected=f'an image of {self.rank} axes',
                found=f'{volume.rank} axes (size {volume.size})',
                remedy='Choose images and a model of the same rank (rank of LoadVolume).',
            )
        channels = sum(_channels(one) for one in volumes)
        if self.num_channels is not None and channels != self.num_channels:
            raise data_error(
                subject,
                expected=f'{self.num_channels} channel{"s" if self.num_channels > 1 else ""}',
                found=f'{channels} (size {volume.size}, {len(volumes)} file{"s" if len(volumes) > 1 else ""})',
                remedy='Give the modalities that the model was made for, as channels of one file or as a list of '
                'files (num_channels of LoadVolume).',
            )

    def __repr__(self) -> str:
        return f'{type(self).__name__}(num_channels={self.num_channels}, rank={self.rank})'


def _read(path: str | Path) -> Volume:
    try:
        return read_volume(path)
    except (OSError, ValueError) as error:
        raise DataError(str(error)) from error  # one kind for all that is wrong with data; the text names the file


def _check_finite(part: np.ndarray, subject: str) -> None:
    channels_last = part[0] if len(part) == 1 else np.moveaxis(part, 0, -1)
    try:
        check_finite(Volume(channels_last, None, subject, has_channels=len(part) > 1))
    except ValueError as error:
        raise DataError(str(error)) from error


def _channels(volume: Volume) -> int:
    return volume.array.shape[-1] if volume.has_channels else 1


def _subject(volumes: Sequence[Volume], results: dict[str, Any]) -> str:
    names = [volume.source for volume in volumes if volume.source]
    return ', '.join(names) or f'case {results.get("case_id", "in memory")}'


def _stack(volumes: Sequence[Volume], results: dict[str, Any]) -> np.ndarray:
    """Make an array (C, *S) that nobody else owns."""
    image = np.empty((sum(map(_channels, volumes)), *volumes[0].size), np.float32)
    done = 0
    for volume in volumes:
        array = np.moveaxis(volume.array, -1, 0) if volume.has_channels else volume.array[None]
        subject = _subject([volume], results)
        if array.dtype.kind not in 'fiub':
            raise data_error(subject, expected='real numbers', found=str(array.dtype), remedy='Store its magnitude.')
        part = image[done : done + len(array)]
        with np.errstate(over='ignore', invalid='ignore'):  # what becomes infinite is found right below
            part[...] = array
        if array.dtype.kind == 'f':
            _check_finite(part, subject)
        done += len(array)
    return image
