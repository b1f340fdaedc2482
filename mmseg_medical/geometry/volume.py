"""An image and its place in space."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mmseg_medical.geometry.grid import Grid, affine_spacing, checked_affine


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
        object.__setattr__(self, 'affine', checked_affine(self.affine, self.name))

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
        return None if self.affine is None else affine_spacing(self.affine, self.rank)

    @property
    def grid(self) -> Grid:
        """Size and affine; its name is that of the image."""
        return Grid(self.size, self.affine, self.name)
