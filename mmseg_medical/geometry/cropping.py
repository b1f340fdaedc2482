"""Cutting and padding."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mmseg_medical.geometry.grid import Grid
from mmseg_medical.geometry.grid_step import Box, Fill, GridStep, Order, slices


@dataclass(frozen=True)
class CropPad(GridStep):
    """Cut each axis, or fill it up, at either end. Values that stay are exact, also after the way back.

    Attributes:
        start (tuple[int, ...]): Voxel of the source at which the target begins; negative where it is padded.
    """

    start: tuple[int, ...]

    @classmethod
    def plan(cls, grid: Grid, size: Sequence[int] | None = None, box: Sequence[Sequence[int]] | None = None) -> CropPad:
        """Plan by size, centred, or by box.

        Args:
            grid (Grid): Grid before.
            size (Sequence[int] | None): Voxels along each axis. Of an odd number, one more is cut or filled at the
                upper end.
            box (Sequence[Sequence[int]] | None): (start, stop) along each axis; a start below 0 and a stop above the
                size pad.

        Raises:
            ValueError: Not one of both is given, it has another number of axes than the grid, or an axis would be
                empty.
        """
        if (size is None) == (box is None):
            raise ValueError('CropPad: give size or box')
        if box is None:
            assert size is not None  # noqa: S101  for the type checker
            wanted = tuple(int(n) for n in size)
            # towards zero, so that cutting undoes padding
            start = tuple(int((have - want) / 2) for have, want in zip(grid.size, wanted, strict=False))
        else:
            start = tuple(int(first) for first, _ in box)
            wanted = tuple(int(stop) - int(first) for first, stop in box)
        if len(wanted) != grid.rank or min(wanted) < 1:
            raise ValueError(f'CropPad: expected {grid.rank} axes of at least one voxel, found size {wanted}')
        affine = None
        if grid.affine is not None:
            affine = grid.affine.copy()
            affine[:3, 3] += affine[:3, : grid.rank] @ np.array(start)
        return cls(grid, Grid(wanted, affine), start)

    def inverse(self) -> CropPad:
        """Return the step back, which pads what was cut."""
        return CropPad(self.target, self.source, tuple(-first for first in self.start))

    def needed(self, box: Box, order: Order) -> Box:
        """Return the box in voxels of the source, without what lies outside."""
        del order
        return _clip(tuple((a + first, b + first) for (a, b), first in zip(box, self.start, strict=True)), self.source)

    def covered(self, box: Box) -> Box:
        """Return the box in voxels of the target, without what lies outside."""
        return _clip(tuple((a - first, b - first) for (a, b), first in zip(box, self.start, strict=True)), self.target)

    def apply_box(self, array: np.ndarray, box: Box, order: Order, fill: Fill = 0) -> np.ndarray:
        """Copy into the filled box."""
        inside = self.covered(self.needed(box, order))
        inside = tuple((max(a, start), min(b, stop)) for (a, b), (start, stop) in zip(inside, box, strict=True))
        if inside == box:
            return array
        size = tuple(stop - start for start, stop in box)
        padded = np.empty((*array.shape[: array.ndim - len(size)], *size), array.dtype)
        padded[...] = np.asarray(fill).reshape(-1, *(1,) * len(size)) if np.ndim(fill) else fill
        if all(stop > start for start, stop in inside):
            place = tuple((a - start, b - start) for (a, b), (start, _) in zip(inside, box, strict=True))
            padded[slices(place)] = array
        return padded


def _clip(box: Box, grid: Grid) -> Box:
    """Cut a box to the grid; what lies outside becomes empty."""
    cut = (((max(start, 0), min(stop, n))) for (start, stop), n in zip(box, grid.size, strict=True))
    return tuple((start, max(start, stop)) for start, stop in cut)
