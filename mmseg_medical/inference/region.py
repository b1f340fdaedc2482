"""Predictions kept to a region such as the lungs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from scipy import ndimage

from mmseg_medical.datasets.errors import DataError, data_error
from mmseg_medical.errors import ConfigError
from mmseg_medical.evaluation.functional.components import bounding_box
from mmseg_medical.geometry import SUFFIXES, Volume, grid_difference, read_labels, refine_grid


@dataclass(frozen=True)
class Region:
    """A map that says where structures can be.

    Attributes:
        labels (str | Path | Volume): Label map on the grid of the image; a file, or in memory.
        values (Sequence[int]): Labels that make up the region; none: all but 0. The lungs of LUNA16 are 3 and 4.
        margin_mm (float): Kept around it: maps of the lungs often leave out nodules on the wall.

    Raises:
        ConfigError: The margin is negative or not finite.
    """

    labels: str | Path | Volume = field(repr=False)
    values: Sequence[int] = ()
    margin_mm: float = 0.0

    def __post_init__(self) -> None:
        if not 0 <= self.margin_mm < math.inf:
            raise ConfigError(f'margin_mm of a region must be 0 or more and finite, found {self.margin_mm}')

    def keep(self, prediction: Volume, scale: Sequence[int] = ()) -> Volume:
        """Set what is predicted outside the region to background.

        Args:
            prediction (Volume): Labels (I, J, K) or (I, J), or masks (*S, K) with ``has_channels``.
            scale (Sequence[int]): Voxels of the prediction along each axis of one of the region; none given: one each.

        Returns:
            Volume: A new one.

        Raises:
            DataError: The map cannot be read or lies on another grid, or a margin is asked for without spacing.
        """
        region = self._load(prediction, scale)
        inside = np.isin(region.array, tuple(self.values)) if self.values else region.array != 0
        array = prediction.array.copy()
        found = array.any(axis=-1) if prediction.has_channels else array != 0
        box = bounding_box(np.asarray(found))
        array[box][~self._grown(inside, box, prediction)] = 0
        return Volume(array, prediction.affine, prediction.source, prediction.has_channels)

    def _load(self, prediction: Volume, scale: Sequence[int]) -> Volume:
        region = self.labels
        if not isinstance(region, Volume):
            try:
                region = read_labels(region)
            except (OSError, ValueError) as error:
                raise DataError(str(error)) from error
        if region.rank == len(scale):
            region = _divided(region, scale)
        if (difference := grid_difference(region.grid, prediction.grid)) is not None:
            raise data_error(
                region.name,
                expected=f'the grid of the image {prediction.name}',
                found=difference,
                remedy='Take the map of this image, or resample it (geometry.resample_like).',
            )
        return region

    def _grown(self, inside: np.ndarray, box: tuple[slice, ...], prediction: Volume) -> np.ndarray:
        """The region with its margin, within a box."""
        if not self.margin_mm or not inside[box].size:
            return inside[box]
        spacing = prediction.spacing_mm
        if spacing is None:
            raise data_error(
                prediction.name,
                expected='an image with spacing, for a margin in mm',
                found='a file without geometry',
                remedy='Set margin_mm=0 of the region.',
            )
        # a wider box holds every voxel of the region that is near enough
        reach = [math.ceil(self.margin_mm / step) for step in spacing]
        wide = tuple(slice(max(part.start - n, 0), part.stop + n) for part, n in zip(box, reach, strict=True))
        own = tuple(slice(b.start - w.start, b.stop - w.start) for b, w in zip(box, wide, strict=True))
        if not inside[wide].any():
            return np.zeros_like(inside[box])
        distance = ndimage.distance_transform_edt(~inside[wide], sampling=spacing)
        return (distance <= self.margin_mm * (1 + 1e-9))[own]


def _divided(labels: Volume, scale: Sequence[int]) -> Volume:
    array = labels.array
    for axis, number in enumerate(scale):
        array = array.repeat(number, axis)
    return Volume(array, refine_grid(labels.grid, scale).affine, labels.source)


@dataclass(frozen=True)
class RegionFolder:
    """Regions of many cases, a file each that has the name of the case.

    Attributes:
        folder (Path): Of the label maps.
        values (Sequence[int]): See :class:`Region`.
        margin_mm (float): See :class:`Region`.

    Raises:
        ConfigError: There is no such folder.
    """

    folder: Path
    values: Sequence[int] = ()
    margin_mm: float = 0.0

    def __post_init__(self) -> None:
        if not self.folder.is_dir():
            raise ConfigError(f'the folder of the regions, {self.folder}, is no folder')

    def path(self, case_id: str) -> Path:
        """Name the file of a case.

        Raises:
            DataError: There is none.
        """
        for suffix in SUFFIXES:
            if (path := self.folder / f'{case_id}{suffix}').is_file():
                return path
        raise data_error(
            self.folder,
            expected=f'a label map named {case_id}, ending in {", ".join(SUFFIXES)}',
            found='none',
            remedy='Add it, or predict this case without regions.',
        )

    def of(self, case_id: str) -> Region:
        """Region of a case.

        Raises:
            DataError: Its file is missing.
        """
        return Region(self.path(case_id), self.values, self.margin_mm)
