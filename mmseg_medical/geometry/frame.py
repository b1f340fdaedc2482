"""Where the voxels of an image lie within its case."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mmseg_medical.geometry.grid import Grid

# A line of voxels shorter than this (in voxels) has one centre.
_ONE_VOXEL = 1e-6


@dataclass(frozen=True)
class Frame:
    """Coordinates of voxels within their case, and how finely the case is asked for.

    Along each axis the centres of the case's first and last voxel lie at -1 and 1, those of a single voxel at -1.
    Voxel i of the image lies at ``first + i * step``: of a patch somewhere within, of what is put around it outside.

    Attributes:
        first (tuple[float, ...]): Coordinate of the image's first voxel along each axis.
        step (tuple[float, ...]): From one voxel to the next; 0 where the case has one voxel.
        scale (tuple[int, ...]): Points that are asked for along each axis of a voxel; the image's corners are kept.
            None given: one each.

    >>> Frame.whole((5, 1)).first, Frame.whole((5, 1)).step, Frame.whole((5, 1)).scale
    ((-1.0, -1.0), (0.5, 0.0), (1, 1))
    """

    first: tuple[float, ...]
    step: tuple[float, ...]
    scale: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, 'scale', tuple(self.scale) or (1,) * len(self.first))
        if not len(self.first) == len(self.step) == len(self.scale) or min(self.scale) < 1:
            raise ValueError(
                f'a frame has one first, step and scale (from 1 on) for each axis, got {self.first}, {self.step} '
                f'and {self.scale}'
            )

    @classmethod
    def whole(cls, size: Sequence[int], scale: Sequence[int] = ()) -> Frame:
        """Return the frame of an image that is the case itself."""
        return cls((-1.0,) * len(size), tuple(2 / (n - 1) if n > 1 else 0.0 for n in size), tuple(scale))

    @classmethod
    def within(cls, case: Grid, affine: np.ndarray, scale: Sequence[int] = ()) -> Frame:
        """Find the frame of an image from its place in space.

        Args:
            case (Grid): The case, with an affine.
            affine (np.ndarray): shape (4, 4), of the image, whose axes are those of the case in any order and
                direction: turned, resampled, cropped, padded, cut to a patch.
            scale (Sequence[int]): See the class.

        Raises:
            ValueError: The case has no affine, or the axes are other ones.
        """
        if case.affine is None:
            raise ValueError(f'{case.name} has no affine, so nobody knows where an image lies within it')
        rank = case.rank
        to_image = np.linalg.inv(affine) @ case.affine
        lines = np.abs(to_image[:rank, :rank])
        if np.any(lines.sum(0) > lines.max(0) * (1 + 1e-3)):
            raise ValueError(f'the axes of the image are not those of {case.name}: {to_image.tolist()}')
        corners = np.zeros((4, 2))
        corners[:rank, 1] = np.array(case.size) - 1
        corners[3] = 1
        ends = np.sort((to_image @ corners)[:rank], axis=1)
        lengths = ends[:, 1] - ends[:, 0]
        step = np.where(lengths > _ONE_VOXEL, 2 / np.maximum(lengths, _ONE_VOXEL), 0.0)
        return cls(tuple((-1 - ends[:, 0] * step).tolist()), tuple(step.tolist()), tuple(scale))

    def at(self, start: Sequence[int]) -> Frame:
        """Return the frame of a window that begins at the image's voxel ``start``, which may be negative."""
        first = (f + s * n for f, s, n in zip(self.first, self.step, start, strict=True))
        return Frame(tuple(first), self.step, self.scale)

    def mirrored(self, axes: Sequence[int], size: Sequence[int]) -> Frame:
        """Return the frame of the image, of this size, in the case that is mirrored along these axes.

        What is mirrored is the patient, not the grid: coordinates grow as before, and a case as a whole keeps them.
        """
        first = (
            -(f + (n - 1) * s) if axis in axes and s else f
            for axis, (f, s, n) in enumerate(zip(self.first, self.step, size, strict=True))
        )
        return Frame(tuple(first), self.step, self.scale)

    def transposed(self) -> Frame:
        """Return the frame of the image with its last two axes exchanged, in a case with the same exchanged."""
        return Frame(*((*values[:-2], values[-1], values[-2]) for values in (self.first, self.step, self.scale)))
