"""Axes in anatomical order."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np

from mmseg_medical.geometry.grid import Grid
from mmseg_medical.geometry.grid_step import Box, Fill, GridStep, Order, whole
from mmseg_medical.geometry.volume import Volume

# along the axes of the world, backwards and forwards
_LETTERS = ('LR', 'PA', 'IS')


@dataclass(frozen=True)
class Reorient(GridStep):
    """Exchange and flip axes; no value changes, whatever the affine.

    Attributes:
        axes (tuple[int, ...]): Axis of the source that each axis of the target is.
        flips (tuple[bool, ...]): Whether the axes of the target run backwards.
    """

    axes: tuple[int, ...]
    flips: tuple[bool, ...]

    @classmethod
    def plan(cls, grid: Grid, axes: str = 'RAS') -> Reorient:
        """Plan by the directions in which the axes of the target grow.

        Oblique and sheared axes count for the direction of the world that they are nearest to.

        Args:
            grid (Grid): Grid before.
            axes (str): For each axis R (right) or L, A (anterior) or P, S (superior) or I, e.g. ``'RAS'`` or
                ``'LPS'``. Of a plane, the letter of the direction across it is passed over.

        Raises:
            ValueError: The letters do not name each direction once, or the grid has no affine: nobody knows where its
                axes point.
        """
        wanted = [_direction(letter) for letter in axes.upper()] if isinstance(axes, str) else []
        if sorted(world for world, _ in wanted) != [0, 1, 2]:
            raise ValueError(f"axes must be one letter each of R or L, A or P and S or I, e.g. 'RAS', got {axes!r}")
        if grid.affine is None:
            raise ValueError(f'{grid.name} has no affine, so nobody knows where its axes point; do not reorient it')
        worlds, signs = _nearest_directions(grid.affine)
        sources = [worlds.index(world) for world, _ in wanted]
        backwards = [bool(sign != signs[axis]) for (_, sign), axis in zip(wanted, sources, strict=True)]
        kept = [number for number, axis in enumerate(sources) if axis < grid.rank]
        return cls._of(grid, tuple(sources[k] for k in kept), tuple(backwards[k] for k in kept))

    @classmethod
    def _of(cls, grid: Grid, axes: tuple[int, ...], flips: tuple[bool, ...]) -> Reorient:
        size = tuple(grid.size[axis] for axis in axes)
        affine = np.array(grid.affine)
        columns = affine[:, list(axes)]
        for target, (flip, length) in enumerate(zip(flips, size, strict=True)):
            affine[:3, 3] += columns[:3, target] * (length - 1) * flip
            affine[:, target] = columns[:, target] * (-1 if flip else 1)
        return cls(grid, Grid(size, affine + 0.0), axes, flips)  # no negative zeros

    def inverse(self) -> Reorient:
        """Return the step back."""
        axes = tuple(self.axes.index(axis) for axis in range(len(self.axes)))
        return Reorient(self.target, self.source, axes, tuple(self.flips[axis] for axis in axes))

    def needed(self, box: Box, order: Order) -> Box:
        """Return the same voxels on the source."""
        del order
        return self.inverse().covered(box)

    def covered(self, box: Box) -> Box:
        """Return the same voxels on the target."""
        mapped = []
        for axis, flip, length in zip(self.axes, self.flips, self.target.size, strict=True):
            start, stop = box[axis]
            mapped.append((length - stop, length - start) if flip else (start, stop))
        return tuple(mapped)

    def apply_box(self, array: np.ndarray, box: Box, order: Order, fill: Fill = 0) -> np.ndarray:
        """Turn a view."""
        del box, order, fill
        if not any(self.flips) and self.axes == tuple(range(len(self.axes))):
            return array
        lead = array.ndim - len(self.axes)
        turned = array.transpose(*range(lead), *(lead + axis for axis in self.axes))
        # one voxel needs no flip, and a negative stride along it would pass for contiguous, which torch refuses
        backwards = (lead + axis for axis, flip in enumerate(self.flips) if flip)
        return np.flip(turned, tuple(axis for axis in backwards if turned.shape[axis] > 1))


def axis_directions(grid: Grid) -> str:
    """Return the letters of the directions in which the axes grow, e.g. ``'LPS'``.

    Raises:
        ValueError: The grid has no affine.

    >>> axis_directions(Grid((4, 5, 6), np.diag([-1, -1, 2, 1])))
    'LPS'
    """
    if grid.affine is None:
        raise ValueError(f'{grid.name} has no affine, so nobody knows where its axes point')
    worlds, signs = _nearest_directions(grid.affine)
    letters = [_LETTERS[world][sign > 0] for world, sign in zip(worlds, signs, strict=True)]
    return ''.join(letters[: grid.rank])


def reorient(volume: Volume, axes: str = 'RAS') -> Volume:
    """Turn an image so that its axes grow in given directions.

    Args:
        volume (Volume): Image with an affine; channels stay last.
        axes (str): See :meth:`Reorient.plan`.

    Returns:
        Volume: A view of the array where that is possible, and the affine that keeps each voxel in its place.

    Raises:
        ValueError: See :meth:`Reorient.plan`.
    """
    step = Reorient.plan(volume.grid, axes)
    array = np.moveaxis(volume.array, -1, 0) if volume.has_channels else volume.array
    turned = step.apply_box(array, whole(step.target), 'nearest')
    turned = np.moveaxis(turned, 0, -1) if volume.has_channels else turned
    return Volume(turned, step.target.affine, volume.source, volume.has_channels)


def _direction(letter: str) -> tuple[int, int]:
    """Return axis of the world and sign; (-1, 0) for other letters."""
    return next(
        ((axis, 1 if pair[1] == letter else -1) for axis, pair in enumerate(_LETTERS) if letter in pair), (-1, 0)
    )


def _nearest_directions(affine: np.ndarray) -> tuple[list[int], list[int]]:
    """For each axis, the axis of the world it is nearest to, and whether it runs along or against it."""
    directions = affine[:3, :3] / np.linalg.norm(affine[:3, :3], axis=0)
    left, _, right = np.linalg.svd(directions)
    rotation = left @ right  # the nearest without shear, so that no axis of the world is nearest to two
    best = max(itertools.permutations(range(3)), key=lambda worlds: sum(abs(rotation[list(worlds), range(3)])))
    return list(best), [1 if directions[world, axis] >= 0 else -1 for axis, world in enumerate(best)]
