"""Where one slice of a volume lies, and what a step of the volume's grid does to it."""

from __future__ import annotations

import numpy as np

from mmseg_medical.errors import ConfigError
from mmseg_medical.geometry import CropPad, Grid, GridStep, Reorient, Resample


def slice_grid(grid: Grid, index: int) -> Grid:
    """Grid of one slice across the last axis.

    Args:
        grid (Grid): Of the volume, size (I, J, K).
        index (int): 0 to K - 1.

    Returns:
        Grid: size (I, J); its affine places the pixels where the voxels of the slice are.

    >>> slice_grid(Grid((4, 5, 6), np.diag([2, 3, 10, 1])), 2).affine[:3, 3].tolist()
    [0.0, 0.0, 20.0]
    """
    affine = None
    if grid.affine is not None:
        affine = np.array(grid.affine)
        affine[:3, 3] += affine[:3, 2] * index
    return Grid(grid.size[:2], affine, grid.name)


def slice_step(step: GridStep, index: int) -> GridStep:
    """Step of the grid of one slice that does to it what a step of the volume does.

    Args:
        step (GridStep): Of a volume (I, J, K).
        index (int): 0 to K - 1.

    Returns:
        GridStep: From the grid of the slice to that of the same slice behind the step.

    Raises:
        ConfigError: The step adds, drops, mixes or reverses slices.
    """
    source, target = (slice_grid(grid, index) for grid in (step.source, step.target))
    kept = len(step.source.size) == 3 and step.source.size[2] == step.target.size[2]
    if kept and isinstance(step, CropPad) and step.start[2] == 0:
        return CropPad(source, target, step.start[:2])
    if kept and isinstance(step, Resample):
        return Resample(source, target, None if step.coarse_axis == 2 else step.coarse_axis)
    if kept and isinstance(step, Reorient) and step.axes[2] == 2 and not step.flips[2]:
        return Reorient(source, target, step.axes[:2], step.flips[:2])
    raise ConfigError(
        f'{type(step).__name__} in the pipeline of LoadSlice brings a volume from {step.source.size} to '
        f'{step.target.size} and changes which slices there are; a slice could not be scored where it came from. '
        'Steps may change the first two axes only (ResampleInPlane, CropOrPadVolume with None for the last axis); the '
        'order of the axes is the argument orientation of the data set.'
    )
