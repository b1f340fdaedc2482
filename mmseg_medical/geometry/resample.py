"""From one grid onto another."""

from __future__ import annotations

import itertools
from typing import Literal

import numpy as np
from scipy import ndimage

from mmseg_medical.geometry.grids import grid_difference
from mmseg_medical.geometry.volume import Volume

# In voxels: places half-way between two voxels go to the upper one, whatever the rounding errors of the affines.
_TIE = 1e-6


def resample_like(volume: Volume, reference: Volume, order: Literal['nearest'] = 'nearest') -> Volume:
    """Bring a label map onto the grid of another image.

    Each voxel of the reference takes the label of the voxel in which its centre lies; outside the label map it is 0.
    A label map that is on the grid already is returned as it is. Memory: that of the result.

    Args:
        volume (Volume): Label map, shape (I, J) or (I, J, K), integer.
        reference (Volume): Image whose grid is wanted.
        order (str): ``'nearest'``.

    Returns:
        Volume: The labels with size and affine of the reference, same dtype.

    Raises:
        TypeError: The labels are no integers.
        ValueError: One of both has no affine, they differ in rank, nowhere overlap, or ``order`` is unknown.
    """
    if order != 'nearest':
        raise ValueError(f"order must be 'nearest', got {order!r}")
    if volume.array.dtype.kind not in 'iub':
        raise TypeError(f'{volume.name}: expected integer labels, found {volume.array.dtype}')
    if volume.has_channels or volume.rank != reference.rank:
        channels = ' with channels' if volume.has_channels else ''
        raise ValueError(f'{volume.name}: expected {reference.rank} axes, found size {volume.size}{channels}')
    for image in (volume, reference):
        if image.affine is None:
            raise ValueError(f'{image.name} has no affine, so nobody knows where its voxels are')
    if grid_difference(volume, reference, tolerance_mm=0) is None:
        return volume
    assert volume.affine is not None and reference.affine is not None  # noqa: S101, PT018  for the type checker
    matrix = np.linalg.inv(volume.affine) @ reference.affine
    labels = volume.array if volume.rank == 3 else volume.array[..., None]
    size = reference.size if reference.rank == 3 else (*reference.size, 1)
    _check_overlap(volume, reference, matrix, labels.shape, size)
    resampled = ndimage.affine_transform(
        labels, matrix[:3, :3], matrix[:3, 3] + _TIE, size, order=0, mode='grid-constant', cval=0
    )
    return Volume(resampled.reshape(reference.size), reference.affine, volume.source)


def _check_overlap(
    volume: Volume, reference: Volume, matrix: np.ndarray, size: tuple[int, ...], wanted: tuple[int, ...]
) -> None:
    corners = np.array([(*corner, 1) for corner in itertools.product(*((0, n - 1) for n in wanted))])
    places = (corners @ matrix.T)[:, :3]
    if (places.max(axis=0) < -0.5).any() or (places.min(axis=0) >= np.array(size) - 0.5).any():
        raise ValueError(
            f'{volume.name} and {reference.name} lie nowhere in the same place, there is nothing to resample'
        )
