"""Area of the surface inside a cell of neighbouring voxel centres, for every way to fill the cell's corners.

The surface is that of marching cubes (Lorensen and Cline 1987, doi:10.1145/37402.37422; squares for two axes) at level
0.5 of a binary mask: its vertices lie at the middles of the cell's edges. Many triangulations fit that description. The
one here has the areas that the surface-distance library of DeepMind (Nikolov et al. 2018, arXiv:1809.04430) sums, by
three rules:

1. Inside and outside are alike: a cell has the area of its complement, and the surface encloses the corners of the
   side that has fewer.
2. Corners of that side that are joined by edges of the cell share a piece of surface. Corners that meet only across a
   face or across the cell are cut off one by one, so the area is the sum over the connected sets.
3. A connected set has at most four corners and, up to the symmetries of the cell, one of six shapes (two shapes of
   at most two corners in a square); each shape has a fixed polygon.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Sequence

import numpy as np

from mmseg_medical.evaluation.functional.arrays import checked_spacing

_Corner = tuple[int, ...]
_Pieces = tuple[tuple[float, ...], ...]

# Connected sets of corners, and the area vectors of the plane pieces of their polygon in a cell of unit spacing.
# Component i is the area of the piece seen along axis i; its sign has no influence on the area.
_SHAPES: dict[int, tuple[tuple[tuple[_Corner, ...], _Pieces], ...]] = {
    2: (
        # corner: a straight line that cuts it off
        (((0, 0),), ((1 / 2, 1 / 2),)),
        # edge along axis 1: the line parallel to it
        (((0, 0), (0, 1)), ((1.0, 0.0),)),
    ),
    3: (
        # corner: a triangle
        (((0, 0, 0),), ((1 / 8, 1 / 8, 1 / 8),)),
        # edge along axis 2: a rectangle
        (((0, 0, 0), (0, 0, 1)), ((1 / 2, 1 / 2, 0.0),)),
        # three corners of a face: a pentagon, bent into half of the cell's section and a trapezium
        (((0, 0, 0), (0, 0, 1), (0, 1, 0)), ((1 / 2, 0.0, 0.0), (3 / 8, 3 / 8, 3 / 8))),
        # face: the cell's section
        (((0, 0, 0), (0, 0, 1), (0, 1, 0), (0, 1, 1)), ((1.0, 0.0, 0.0),)),
        # a corner and its three neighbours: a plane hexagon
        (((0, 0, 0), (0, 0, 1), (0, 1, 0), (1, 0, 0)), ((3 / 4, 3 / 4, 3 / 4),)),
        # a path along axes 0, 2 and 1: a bent hexagon, cut into the triangle of every second vertex (3/8) and the three
        # that remain; both choices of the triangle have the same areas
        (
            ((1, 0, 0), (0, 0, 0), (0, 0, 1), (0, 1, 1)),
            ((3 / 8, 3 / 8, 3 / 8), (1 / 8, 1 / 8, 1 / 8), (0.0, 1 / 4, 1 / 4), (1 / 4, 0.0, 1 / 4)),
        ),
    ),
}


def surfel_areas(spacing_mm: Sequence[float]) -> np.ndarray:
    """Area of the surface inside a cell, by the set of the cell's corners that belong to the mask.

    A cell has the voxels at the offsets {0, 1} along each axis at its corners. Its code has bit 4 a + 2 b + c set if
    the voxel at the offset (a, b, c) belongs to the mask; for two axes bit 2 a + b for (a, b).

    Args:
        spacing_mm (Sequence[float]): distance between neighbours along each of two or three axes, in array order.

    Returns:
        np.ndarray: shape (256,), float64, areas in mm^2 for three axes; shape (16,), lengths in mm for two. Read-only,
        since calls with one spacing share it.

    Raises:
        ValueError: there are not two or three numbers, or one of them is not positive and finite.

    Example:
        >>> surfel_areas((2, 3))[[0b0000, 0b0011, 0b0101]].tolist()
        [0.0, 3.0, 2.0]
    """
    axes = len(spacing_mm)
    if axes not in _SHAPES:
        raise ValueError(f'spacing_mm of surfels must have 2 or 3 numbers, got {tuple(spacing_mm)}')
    return _areas(checked_spacing(spacing_mm, axes))


@functools.lru_cache(maxsize=64)
def _areas(spacing: tuple[float, ...]) -> np.ndarray:
    faces = [np.prod([s for j, s in enumerate(spacing) if j != i]) for i in range(len(spacing))]
    areas = np.linalg.norm(_area_vectors(len(spacing)) * faces, axis=-1).sum(axis=-1)
    areas.flags.writeable = False
    return areas


@functools.cache
def _area_vectors(axes: int) -> np.ndarray:
    """Area vectors of the plane pieces in each cell, shape (codes, pieces, axes), in a cell of unit spacing."""
    corners = list(itertools.product((0, 1), repeat=axes))
    shapes = _all_shapes(axes, corners)
    vectors = np.zeros((1 << len(corners), len(corners) // 2, axes))
    for code in range(len(vectors)):
        inside = {corner for bit, corner in enumerate(corners) if code >> bit & 1}
        side = inside if len(inside) <= len(corners) // 2 else set(corners) - inside
        pieces = [piece for part in _connected_parts(side) for piece in shapes[part]]
        vectors[code, : len(pieces)] = np.reshape(pieces, (-1, axes))
    return vectors


def _all_shapes(axes: int, corners: list[_Corner]) -> dict[frozenset[_Corner], _Pieces]:
    """Expand the shapes by the symmetries of the cell: exchanged axes, and mirrors, which leave areas as they are."""
    return {
        frozenset(tuple(corner[axis] ^ m for axis, m in zip(order, mirror, strict=True)) for corner in shape): tuple(
            tuple(piece[axis] for axis in order) for piece in pieces
        )
        for shape, pieces in _SHAPES[axes]
        for order in itertools.permutations(range(axes))
        for mirror in corners
    }


def _connected_parts(side: set[_Corner]) -> list[frozenset[_Corner]]:
    """Split a set of corners where no edge of the cell joins them."""
    parts: list[frozenset[_Corner]] = []
    for corner in side:
        joined = [part for part in parts if any(sum(a != b for a, b in zip(corner, c, strict=True)) == 1 for c in part)]
        parts = [part for part in parts if part not in joined] + [frozenset({corner}).union(*joined)]
    return parts
