"""Grids of smaller voxels over the same field of view, and the way between them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from mmseg_medical.geometry.cropping import CropPad
from mmseg_medical.geometry.grid import Grid
from mmseg_medical.geometry.grid_step import GridStep
from mmseg_medical.geometry.orientation import Reorient
from mmseg_medical.geometry.resampling import Resample


def refine_grid(grid: Grid, scale: Sequence[int]) -> Grid:
    """Divide every voxel into ``scale`` along each axis; the field of view stays.

    Raises:
        ValueError: There is not one whole number from 1 on for each axis.

    >>> import numpy as np
    >>> fine = refine_grid(Grid((4, 5), np.eye(4)), (2, 1))
    >>> fine.size, fine.affine[:2, 3].tolist()
    ((8, 5), [-0.25, 0.0])
    """
    if len(scale) != grid.rank or any(int(s) != s or s < 1 for s in scale):
        raise ValueError(f'expected {grid.rank} whole numbers from 1 on to divide the voxels into, got {tuple(scale)}')
    size = [n * int(s) for n, s in zip(grid.size, scale, strict=True)]
    return replace(Resample.plan(grid, size=size).target, name=grid.name)


def refine_steps(steps: Sequence[GridStep], scale: Sequence[int]) -> tuple[list[GridStep], tuple[int, ...]]:
    """Say what was done to a grid of that of smaller voxels.

    Args:
        steps (Sequence[GridStep]): As they were applied, turning, cropping, padding and resampling.
        scale (Sequence[int]): Into how many the voxels of the first step's source are divided along each axis.

    Returns:
        tuple: The steps from its refined source to the refined target of the last one, and the scale of that.

    Raises:
        ValueError: See :func:`refine_grid`; or a step is of another kind.
    """
    scale = tuple(scale)
    fine: list[GridStep] = []
    for step in steps:
        source = fine[-1].target if fine else refine_grid(step.source, scale)
        if isinstance(step, Reorient):
            scale = tuple(scale[axis] for axis in step.axes)
            fine.append(replace(step, source=source, target=refine_grid(step.target, scale)))
        elif isinstance(step, CropPad):
            start = tuple(first * s for first, s in zip(step.start, scale, strict=True))
            fine.append(replace(step, source=source, target=refine_grid(step.target, scale), start=start))
        elif isinstance(step, Resample):
            fine.append(replace(step, source=source, target=refine_grid(step.target, scale)))
        else:
            raise ValueError(f'predictions at another resolution cannot go back over {type(step).__name__}')
    return fine, scale
