"""What phantoms of volumes share: places, tissue with noise, files whose axes point anywhere."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from scipy import ndimage

from mmseg_medical.geometry import Grid, Reorient, Volume, write_volume


def places(size: Sequence[int]) -> list[np.ndarray]:
    """Coordinates of the voxels, from -1 to 1 along each axis, 0 along an axis of one voxel.

    Args:
        size (Sequence[int]): Voxels along each axis.

    Returns:
        list[np.ndarray]: one array of shape ``size`` an axis.
    """
    return list(np.meshgrid(*(np.linspace(-1, 1, n) if n > 1 else np.zeros(1) for n in size), indexing='ij'))


def textured(tissue: np.ndarray, rng: np.random.Generator, noise: float, field: float = 0.1) -> np.ndarray:
    """Tissue (*S) blurred within slices, under a smooth field of relative strength ``field``, with noise."""
    blurred = ndimage.gaussian_filter(tissue.astype(np.float64), [*[0.6] * (tissue.ndim - 1), 0])
    smooth = ndimage.gaussian_filter(rng.standard_normal(tissue.shape), [n / 5 for n in tissue.shape])
    smooth *= field / max(float(np.abs(smooth).max()), 1e-12)
    return blurred * (1 + smooth) + noise * rng.standard_normal(tissue.shape)


def write_turned(array: np.ndarray, affine: np.ndarray, path: Path, axes: str | None = None) -> None:
    """Write a volume (I, J, K) or a series (I, J, K, T), its axes turned to an order like ``'LPS'``."""
    several = array.ndim == 4
    if axes is not None:
        step = Reorient.plan(Grid(array.shape[:3], affine), axes)
        lead = np.moveaxis(array, -1, 0) if several else array
        turned = step.apply(lead, 'nearest')
        array = np.ascontiguousarray(np.moveaxis(turned, 0, -1) if several else turned)
        affine = np.asarray(step.target.affine)
    write_volume(Volume(array, affine, path.name, has_channels=several), path)


def placed(spacing_mm: Sequence[float], rng: np.random.Generator, signs: Sequence[int] = (1, 1, 1)) -> np.ndarray:
    """Affine of a spacing and a random origin; ``signs`` turn axes round."""
    affine = np.diag([*(s * sign for s, sign in zip(spacing_mm, signs, strict=True)), 1.0])
    affine[:3, 3] = np.round(rng.uniform(-50, 50, 3), 2)
    return affine
