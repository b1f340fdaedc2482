"""Voxels and millimetres of a chest phantom, and simple bodies drawn into it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


class ChestSpace:
    """Voxels and millimetres of one scan, the origin in its middle."""

    def __init__(self, size: Sequence[int], spacing_mm: Sequence[float]) -> None:
        self.size = tuple(size)
        self.spacing = np.asarray(spacing_mm, np.float64)
        self.half = np.asarray(size) * self.spacing / 2
        self.axes = [((np.arange(n) - (n - 1) / 2) * s).astype(np.float32) for n, s in zip(size, spacing_mm)]  # noqa: B905

    def grids(self, box: Sequence[slice] | None = None) -> list[np.ndarray]:
        """Coordinates in mm of the voxels of a box, ready for broadcasting."""
        chosen = [a if box is None else a[s] for a, s in zip(self.axes, box or (slice(None),) * 3, strict=True)]
        return list(np.ix_(*chosen))

    def box(self, low: np.ndarray, high: np.ndarray) -> tuple[slice, ...]:
        """Voxels between two corners in mm, cut to the scan."""
        offset = (np.asarray(self.size) - 1) / 2
        first = np.floor(low / self.spacing + offset).astype(int)
        last = np.ceil(high / self.spacing + offset).astype(int) + 1
        return tuple(slice(max(a, 0), max(min(b, n), 0)) for a, b, n in zip(first, last, self.size, strict=True))

    def voxel(self, place: np.ndarray) -> tuple[int, ...]:
        """Voxel nearest to a place in mm, cut to the scan."""
        index = np.rint(place / self.spacing + (np.asarray(self.size) - 1) / 2).astype(int)
        return tuple(np.clip(index, 0, np.asarray(self.size) - 1).tolist())


def fill_tube(
    array: np.ndarray,
    space: ChestSpace,
    start: np.ndarray,
    stop: np.ndarray,
    radius: float,
    value: float,
    where: np.ndarray | None = None,
) -> None:
    """Set the voxels of a tube with round ends between two places in mm, all or those of a mask."""
    box = space.box(np.minimum(start, stop) - radius, np.maximum(start, stop) + radius)
    along = (stop - start) / max(float(np.dot(stop - start, stop - start)), 1e-9)
    offsets = [grid - np.float32(at) for grid, at in zip(space.grids(box), start, strict=True)]
    share = np.clip(sum(o * np.float32(a) for o, a in zip(offsets, along, strict=True)), 0, 1)
    distance = sum((o - share * np.float32(d)) ** 2 for o, d in zip(offsets, stop - start, strict=True))
    inside = distance < radius**2
    array[box][inside if where is None else inside & where[box]] = value


def ellipsoid(
    space: ChestSpace, place: np.ndarray, radii: np.ndarray, turn: np.ndarray
) -> tuple[tuple[slice, ...], np.ndarray]:
    """Box around it, and the level of its voxels: below 1 inside."""
    reach = np.full(3, radii.max())
    box = space.box(place - reach, place + reach)
    offsets = [grid - np.float32(at) for grid, at in zip(space.grids(box), place, strict=True)]
    level = np.zeros((1, 1, 1), np.float32)
    for axis, radius in zip(turn, radii, strict=True):
        level = level + (sum(o * np.float32(a) for o, a in zip(offsets, axis, strict=True)) / np.float32(radius)) ** 2
    return box, level


def unit_vector(rng: np.random.Generator) -> np.ndarray:
    """Draw a direction, shape (3,)."""
    drawn = rng.standard_normal(3)
    return drawn / np.linalg.norm(drawn)


def rotation(rng: np.random.Generator) -> np.ndarray:
    """Draw three directions at right angles, shape (3, 3)."""
    return np.linalg.qr(rng.standard_normal((3, 3)))[0]
