"""A grid of voxels and its place in space."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

# Volume of the unit vectors along the axes, below which they no longer span the space: 0.05 degrees between two.
_MIN_DETERMINANT = 1e-3


@dataclass(frozen=True)
class Grid:
    """Where the voxels of an image are, without the image.

    Attributes:
        size (tuple[int, ...]): Voxels along each of two or three axes.
        affine (np.ndarray | None): shape (4, 4), float64, as of :class:`~mmseg_medical.geometry.Volume`; read-only.
        name (str): What it is called in messages, e.g. the file it came from; does not count for equality.

    Raises:
        ValueError: There are not two or three axes, a size is negative, or the affine is not finite, singular or of
            another shape.

    >>> grid = Grid((4, 5, 6), np.diag([2, 3, -0.5, 1]))
    >>> grid.spacing_mm, grid.rank
    ((2.0, 3.0, 0.5), 3)
    """

    size: tuple[int, ...]
    affine: np.ndarray | None
    name: str = field(default='grid', compare=False)

    def __post_init__(self) -> None:
        size = tuple(int(length) for length in self.size)
        if len(size) not in (2, 3) or min(size) < 0:
            raise ValueError(f'{self.name}: expected two or three spatial axes, found size {size}')
        object.__setattr__(self, 'size', size)
        object.__setattr__(self, 'affine', checked_affine(self.affine, self.name))

    @property
    def rank(self) -> int:
        """Number of axes, 2 or 3."""
        return len(self.size)

    @property
    def spacing_mm(self) -> tuple[float, ...] | None:
        """Distance of neighbouring voxels along each axis, or None without an affine."""
        return None if self.affine is None else affine_spacing(self.affine, self.rank)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Grid):
            return NotImplemented
        if self.affine is None or other.affine is None:
            return self.size == other.size and self.affine is other.affine
        return self.size == other.size and np.array_equal(self.affine, other.affine)

    def __deepcopy__(self, memo: dict) -> Grid:
        return self  # nothing in it changes, and mmengine copies the metainfo of every sample

    def __hash__(self) -> int:
        return hash((self.size, None if self.affine is None else self.affine.tobytes()))

    def to_dict(self) -> dict[str, Any]:
        """Return it as JSON holds it, without loss."""
        return {'size': list(self.size), 'affine': None if self.affine is None else self.affine.tolist()}

    @classmethod
    def from_dict(cls, entries: dict[str, Any]) -> Grid:
        """Make the grid of :meth:`to_dict`."""
        affine = entries['affine']
        return cls(tuple(entries['size']), None if affine is None else np.array(affine, np.float64))


def affine_spacing(affine: np.ndarray, rank: int) -> tuple[float, ...]:
    """Return the length in mm of a voxel's edge along each of the first ``rank`` axes."""
    return tuple(float(length) for length in np.linalg.norm(affine[:3, :rank], axis=0))


def checked_affine(affine: np.ndarray | None, name: str) -> np.ndarray | None:
    """Return a read-only float64 copy of an affine that can be inverted.

    Args:
        affine (np.ndarray | None): shape (4, 4).
        name (str): Of the image, for the message.

    Raises:
        ValueError: It is not finite, singular or of another shape.
    """
    if affine is None:
        return None
    copy = np.array(affine, np.float64)
    copy.flags.writeable = False  # it may be shared by the volumes of one grid
    if copy.shape != (4, 4):
        raise ValueError(f'{name}: the affine must have shape (4, 4), got {copy.shape}')
    if not np.isfinite(copy).all():
        raise ValueError(f'{name}: the affine must be finite, got {copy.tolist()}')
    if not np.array_equal(copy[3], (0, 0, 0, 1)):
        raise ValueError(f'{name}: the last row of the affine must be 0 0 0 1, got {copy[3].tolist()}')
    lengths = np.linalg.norm(copy[:3, :3], axis=0)
    if not lengths.all():
        raise ValueError(f'{name}: the spacing must be positive along each axis, got {tuple(map(float, lengths))} mm')
    if abs(np.linalg.det(copy[:3, :3] / lengths)) < _MIN_DETERMINANT:
        raise ValueError(f'{name}: the affine is singular: {copy.tolist()}')
    return copy
