"""An image and its place in space."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

# Volume of the unit vectors along the axes, below which they no longer span the space: 0.05 degrees between two.
_MIN_DETERMINANT = 1e-3


@dataclass(frozen=True, eq=False)
class Volume:
    """Voxels and the affine map that places them.

    Attributes:
        array (np.ndarray): shape (I, J) or (I, J, K); (..., C) with ``has_channels``. Any dtype.
        affine (np.ndarray | None): shape (4, 4), float64: voxel indices (i, j, k, 1) to millimetres in RAS+ (x grows to
            the patient's right, y to the front, z upwards), centre of the voxel. Its directions need not be
            orthogonal. None for images without geometry, whose axes are those of the file.
        source (str): File it came from, for messages; may be empty.
        has_channels (bool): Whether the last axis counts colours, modalities or times instead of places.

    Raises:
        TypeError: ``array`` is no NumPy array.
        ValueError: It has not two or three spatial axes, or the affine is not finite, singular or of another shape.

    >>> volume = Volume(np.zeros((4, 5, 6), np.uint8), np.diag([2, 3, -0.5, 1]))
    >>> volume.spacing_mm, volume.size
    ((2.0, 3.0, 0.5), (4, 5, 6))
    """

    array: np.ndarray
    affine: np.ndarray | None
    source: str = ''
    has_channels: bool = False

    def __post_init__(self) -> None:
        if not isinstance(self.array, np.ndarray):
            raise TypeError(f'{self.name}: the array must be a NumPy array, got {type(self.array).__name__}')
        if self.rank not in (2, 3):
            channels = ' and one of channels' if self.has_channels else ''
            raise ValueError(f'{self.name}: expected two or three spatial axes{channels}, found {self.array.shape}')
        if self.affine is not None:
            affine = np.array(self.affine, np.float64)
            affine.flags.writeable = False  # it may be shared by the volumes of one grid
            object.__setattr__(self, 'affine', affine)
            self._check_affine(affine)

    @property
    def name(self) -> str:
        """The source, or what stands in messages for an image without one."""
        return self.source or 'volume'

    @property
    def rank(self) -> int:
        """Number of spatial axes, 2 or 3."""
        return self.array.ndim - int(self.has_channels)

    @property
    def size(self) -> tuple[int, ...]:
        """Voxels along each spatial axis."""
        return self.array.shape[: self.rank]

    @property
    def spacing_mm(self) -> tuple[float, ...] | None:
        """Distance of neighbouring voxels along each spatial axis, or None without an affine."""
        if self.affine is None:
            return None
        return tuple(float(length) for length in np.linalg.norm(self.affine[:3, : self.rank], axis=0))

    def _check_affine(self, affine: np.ndarray) -> None:
        if affine.shape != (4, 4):
            raise ValueError(f'{self.name}: the affine must have shape (4, 4), got {affine.shape}')
        if not np.isfinite(affine).all():
            raise ValueError(f'{self.name}: the affine must be finite, got {affine.tolist()}')
        if not np.array_equal(affine[3], (0, 0, 0, 1)):
            raise ValueError(f'{self.name}: the last row of the affine must be 0 0 0 1, got {affine[3].tolist()}')
        lengths = np.linalg.norm(affine[:3, :3], axis=0)
        if not lengths.all():
            raise ValueError(
                f'{self.name}: the spacing must be positive along each axis, got {tuple(map(float, lengths))} mm'
            )
        if abs(np.linalg.det(affine[:3, :3] / lengths)) < _MIN_DETERMINANT:
            raise ValueError(f'{self.name}: the affine is singular: {affine.tolist()}')
