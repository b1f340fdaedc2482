"""Other voxels over the same field of view."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mmseg_medical.geometry.grid import Grid
from mmseg_medical.geometry.grid_step import Box, Fill, GridStep, Order, slices
from mmseg_medical.geometry.interpolation import AxisTaps, axis_taps, interpolate
from mmseg_medical.geometry.volume import Volume

#: ratio of spacings above which the coarsest axis is interpolated apart (Isensee et al. 2021)
ANISOTROPY = 3.0
# Voxels of labels handled at a time: some float arrays of this size are held.
_LABEL_SLAB = 1 << 22


@dataclass(frozen=True)
class Resample(GridStep):
    """Divide the field of view into other voxels; its outer edges stay where they are.

    The number of voxels is whole, so the spacing comes out as field of view / voxels and only near to the one that was
    wanted. An axis whose number of voxels does not change keeps its values. Nothing is smoothed before values are
    dropped.

    Between thick slices there is little to interpolate: if the largest spacing of one grid is more than three times its
    smallest, and only one axis has it, values along it are taken from the nearest slice, both ways, and the order is
    for the axes within the slices (Isensee et al. 2021, nnU-Net, doi:10.1038/s41592-020-01008-z). The source decides,
    then the target.

    Attributes:
        coarse_axis (int | None): That axis.
    """

    coarse_axis: int | None

    @classmethod
    def plan(
        cls,
        grid: Grid,
        spacing_mm: Sequence[float] | None = None,
        size: Sequence[int] | None = None,
        anisotropy: float = ANISOTROPY,
    ) -> Resample:
        """Plan by spacing or by size.

        Args:
            grid (Grid): Grid before.
            spacing_mm (Sequence[float] | None): Wanted along each axis; needs an affine.
            size (Sequence[int] | None): Voxels along each axis; works without an affine.
            anisotropy (float): Ratio of spacings above which the coarsest axis is treated apart; ``math.inf`` treats
                all alike.

        Raises:
            ValueError: Not one of both is given, a value is not positive, there is not one for each axis, or the grid
                has no affine to know its spacing by.
        """
        if (size is None) == (spacing_mm is None):
            raise ValueError('Resample: give spacing_mm or size')
        wanted = _size(grid, spacing_mm) if size is None else tuple(int(n) for n in size)
        if len(wanted) != grid.rank or min(wanted) < 1 or min(grid.size) < 1:
            raise ValueError(f'Resample: expected {grid.rank} axes of at least one voxel, got {grid.size} and {wanted}')
        target = Grid(wanted, _affine(grid, wanted))
        coarse = [_coarse_axis(one.spacing_mm, anisotropy) for one in (grid, target)]
        return cls(grid, target, coarse[1] if coarse[0] is None else coarse[0])

    def inverse(self) -> Resample:
        """Return the step back."""
        return Resample(self.target, self.source, self.coarse_axis)

    def needed(self, box: Box, order: Order) -> Box:
        """Return the voxels that are interpolated between."""
        return tuple(part if tap is None else tap.extent for part, tap in zip(box, self._taps(box, order), strict=True))

    def covered(self, box: Box) -> Box:
        """Return the voxels whose centres lie within the box."""
        return tuple(
            (_first_centre(start, old, new), _first_centre(stop, old, new))
            for (start, stop), old, new in zip(box, self.source.size, self.target.size, strict=True)
        )

    def apply_box(self, array: np.ndarray, box: Box, order: Order, fill: Fill = 0) -> np.ndarray:
        """Interpolate along each axis that changes."""
        del fill  # the field of view is the same
        if self.source.size == self.target.size:
            return array
        if order == 'label_linear':
            return self._labels(array, box)
        if order != 'nearest' and array.dtype.kind != 'f':
            array = array.astype(np.result_type(array.dtype, np.float32))
        half = array.dtype == np.float16 and order != 'nearest'
        first = [start for start, _ in self.needed(box, order)]
        values = interpolate(array.astype(np.float32) if half else array, self._taps(box, order), first)
        return values.astype(np.float16) if half else values

    def _taps(self, box: Box, order: Order) -> list[AxisTaps | None]:
        lines = zip(self.source.size, self.target.size, box, strict=True)
        taps: list[AxisTaps | None] = []
        for axis, (old, new, (start, stop)) in enumerate(lines):
            along = 'nearest' if axis == self.coarse_axis else 'linear' if order == 'label_linear' else order
            taps.append(None if old == new else axis_taps(old, new, along, start, stop))
        return taps

    def _labels(self, array: np.ndarray, box: Box) -> np.ndarray:
        """Resample labels, in slabs along the first axis."""
        size = tuple(stop - start for start, stop in box)
        lead = array.shape[: array.ndim - len(size)]
        result = np.empty((*lead, *size), array.dtype)
        begin = self.needed(box, 'linear')
        rows = max(1, _LABEL_SLAB // max(1, math.prod(lead) * math.prod(size[1:])))
        for row in range(box[0][0], box[0][1], rows):
            slab = ((row, min(row + rows, box[0][1])), *box[1:])
            needed = self.needed(slab, 'linear')
            inside = tuple((a - c, b - c) for (a, b), (c, _) in zip(needed, begin, strict=True))
            place = ((slab[0][0] - box[0][0], slab[0][1] - box[0][0]), *((0, n) for n in size[1:]))
            result[slices(place)] = self._largest_label(array[slices(inside)], slab, [start for start, _ in needed])
        return result

    def _largest_label(self, labels: np.ndarray, box: Box, first: list[int]) -> np.ndarray:
        taps = self._taps(box, 'linear')
        present = np.unique(labels)
        share = interpolate((labels == present[0]).astype(np.float32), taps, first)
        result = np.full(share.shape, present[0], labels.dtype)
        for label in present[1:]:
            other = interpolate((labels == label).astype(np.float32), taps, first)
            result[other > share] = label
            np.maximum(share, other, out=share)
        return result


def resample(volume: Volume, spacing_mm: Sequence[float], order: Order = 'linear') -> Volume:
    """Bring an image to a spacing.

    Args:
        volume (Volume): Image with an affine; channels stay last.
        spacing_mm (Sequence[float]): Wanted along each axis.
        order (str): See :meth:`GridStep.apply`; ``'nearest'`` or ``'label_linear'`` for label maps.

    Returns:
        Volume: The same field of view in voxels of nearly this spacing.

    Raises:
        TypeError: See :meth:`GridStep.apply`.
        ValueError: See :meth:`Resample.plan`.
    """
    step = Resample.plan(volume.grid, spacing_mm)
    array = np.moveaxis(volume.array, -1, 0) if volume.has_channels else volume.array
    if step.source.size == step.target.size:
        return volume
    values = step.apply(array, order)
    values = np.moveaxis(values, 0, -1) if volume.has_channels else values
    return Volume(values, step.target.affine, volume.source, volume.has_channels)


def _size(grid: Grid, spacing_mm: Sequence[float] | None) -> tuple[int, ...]:
    wanted = tuple(float(s) for s in spacing_mm or ())
    if len(wanted) != grid.rank or not all(0 < s < math.inf for s in wanted):
        raise ValueError(f'spacing_mm must be {grid.rank} positive numbers, got {spacing_mm}')
    if grid.spacing_mm is None:
        raise ValueError(f'{grid.name} has no affine, so nobody knows its spacing; resample it by size')
    lengths = [n * have for n, have in zip(grid.size, grid.spacing_mm, strict=True)]
    return tuple(max(1, math.floor(length / want + 0.5)) for length, want in zip(lengths, wanted, strict=True))


def _affine(grid: Grid, size: tuple[int, ...]) -> np.ndarray | None:
    if grid.affine is None or size == grid.size:
        return grid.affine
    index = np.eye(4)  # of the target to that of the source
    for axis, (old, new) in enumerate(zip(grid.size, size, strict=True)):
        index[axis, axis] = old / new
        index[axis, 3] = (old / new - 1) / 2
    return grid.affine @ index


def _coarse_axis(spacing_mm: tuple[float, ...] | None, anisotropy: float) -> int | None:
    if spacing_mm is None or len(spacing_mm) < 3:
        return None
    largest = max(spacing_mm)
    axes = [axis for axis, spacing in enumerate(spacing_mm) if spacing > largest * (1 - 1e-6)]
    return axes[0] if len(axes) == 1 and largest > anisotropy * min(spacing_mm) else None


def _first_centre(edge: int, old: int, new: int) -> int:
    """First voxel of the new line whose centre is not before an edge between voxels of the old one."""
    return -((old - 2 * new * edge) // (2 * old))
