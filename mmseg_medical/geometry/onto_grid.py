"""From one grid onto another."""

from __future__ import annotations

import itertools
from typing import Literal, get_args

import numpy as np
from scipy import ndimage

from mmseg_medical.geometry.grid import Grid
from mmseg_medical.geometry.same_grid import grid_difference
from mmseg_medical.geometry.volume import Volume

GridOrder = Literal['nearest', 'linear']
# In voxels: places half-way between two voxels go to the upper one, whatever the rounding errors of the affines.
_TIE = 1e-6


def resample_like(volume: Volume, reference: Volume | Grid, order: GridOrder = 'nearest', fill: float = 0) -> Volume:
    """Bring an image or a label map onto the grid of another image, however the two lie to each other.

    ``'nearest'``: each voxel of the reference takes the value of the voxel in which its centre lies. ``'linear'``, for
    images: it is interpolated between the centres around; in the outer half of a border voxel its value goes on. An
    image that is on the grid already is returned as it is. Memory: that of the result; nothing is smoothed before
    values are dropped.

    Args:
        volume (Volume): Label map of integers, or with ``'linear'`` an image, channels allowed.
        reference (Volume | Grid): Image whose grid is wanted, or the grid.
        order (str): ``'nearest'`` or ``'linear'``.
        fill (float): What voxels outside get.

    Returns:
        Volume: The values with size and affine of the reference; same dtype, linear makes floats of integers.

    Raises:
        TypeError: ``'nearest'`` of values that are no integers, ``'linear'`` of complex ones.
        ValueError: One of both has no affine, they differ in rank, nowhere overlap, or ``order`` is unknown.
    """
    _check_request(volume, reference, order)
    if grid_difference(volume, reference, tolerance_mm=0) is None:
        return volume
    assert volume.affine is not None and reference.affine is not None  # noqa: S101, PT018  for the type checker
    matrix = np.linalg.inv(volume.affine) @ reference.affine
    flat = volume.rank == 2
    array = volume.array if volume.has_channels else volume.array[..., None]
    array = array[:, :, None] if flat else array
    size = (*reference.size, 1) if flat else reference.size
    _check_overlap(volume, reference, matrix, array.shape[:3], size)
    if order == 'linear':
        array = array.astype(np.result_type(array.dtype, np.float32), copy=False)
    moved = np.empty((*size, array.shape[3]), array.dtype)
    for channel in range(array.shape[3]):
        moved[..., channel] = _transform(array[..., channel], matrix, size, order, fill)
    moved = moved if volume.has_channels else moved[..., 0]
    moved = moved[:, :, 0] if flat else moved
    return Volume(np.ascontiguousarray(moved), reference.affine, volume.source, volume.has_channels)


def _transform(
    array: np.ndarray, matrix: np.ndarray, size: tuple[int, ...], order: GridOrder, fill: float
) -> np.ndarray:
    linear = order == 'linear'
    values = ndimage.affine_transform(
        array,
        matrix[:3, :3],
        matrix[:3, 3] + (0 if linear else _TIE),
        size,
        order=int(linear),
        mode='nearest' if linear else 'grid-constant',
        cval=fill,
    )
    if linear:
        _fill_outside(values, matrix, array.shape, fill)
    return values


def _fill_outside(values: np.ndarray, matrix: np.ndarray, size: tuple[int, ...], fill: float) -> None:
    """Overwrite voxels whose centres lie in no voxel of the old grid, plane by plane."""
    steps = [np.arange(n, dtype=np.float64) for n in values.shape]
    for number, plane in enumerate(values):
        outside = np.zeros(plane.shape, bool)
        for row, length in zip(matrix[:3], size, strict=True):
            place = (row[3] + row[0] * number + _TIE) + (row[1] * steps[1])[:, None] + row[2] * steps[2]
            outside |= (place < -0.5) | (place >= length - 0.5)
        plane[outside] = fill


def _check_request(volume: Volume, reference: Volume | Grid, order: str) -> None:
    if order not in get_args(GridOrder):
        raise ValueError(f"order must be 'nearest' or 'linear', got {order!r}")
    kinds, wanted = ('iub', 'integer labels') if order == 'nearest' else ('iubf', 'real numbers')
    if volume.array.dtype.kind not in kinds:
        raise TypeError(f'{volume.name}: expected {wanted}, found {volume.array.dtype}')
    if volume.rank != reference.rank or (volume.has_channels and order == 'nearest'):
        channels = ' with channels' if volume.has_channels else ''
        raise ValueError(f'{volume.name}: expected {reference.rank} axes, found size {volume.size}{channels}')
    for image in (volume, reference):
        if image.affine is None:
            raise ValueError(f'{image.name} has no affine, so nobody knows where its voxels are')


def _check_overlap(
    volume: Volume, reference: Volume | Grid, matrix: np.ndarray, size: tuple[int, ...], wanted: tuple[int, ...]
) -> None:
    corners = np.array([(*corner, 1) for corner in itertools.product(*((0, n - 1) for n in wanted))])
    places = (corners @ matrix.T)[:, :3]
    if (places.max(axis=0) < -0.5).any() or (places.min(axis=0) >= np.array(size) - 0.5).any():
        raise ValueError(
            f'{volume.name} and {reference.name} lie nowhere in the same place, there is nothing to resample'
        )
