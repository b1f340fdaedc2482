"""Balls around annotated centres, the roughest masks of nodules."""

from __future__ import annotations

import numpy as np

from mmseg_medical.datasets.errors import data_error
from mmseg_medical.datasets.lung_nodules.annotations import Nodules
from mmseg_medical.geometry import Grid
from mmseg_medical.geometry.points import voxel_to_world, world_to_voxel

# Of a squared distance: voxels exactly on the surface belong to the ball whatever the last bits say.
_ROUNDING = 1e-9


def sphere_labels(grid: Grid, nodules: Nodules) -> np.ndarray:
    """Draw a ball for each nodule.

    Args:
        grid (Grid): Three axes, with an affine.
        nodules (np.ndarray): shape (N, 4), centre (RAS+) and diameter in mm; inside the grid.

    Returns:
        np.ndarray: uint8 (I, J, K), 1 in voxels whose centre is at most half a diameter from that of a nodule. The
        voxel nearest to a centre always is one: between thick slices a small ball would vanish.
    """
    labels = np.zeros(grid.size, np.uint8)
    affine = _affine(grid)
    # how far along each axis a point of a ball of radius 1 mm can be
    reach = np.linalg.norm(np.linalg.inv(affine[:3, :3]), axis=1)
    for place, diameter in zip(world_to_voxel(nodules[:, :3], affine), nodules[:, 3], strict=True):
        radius = diameter / 2
        first = np.maximum(np.floor(place - reach * radius).astype(int), 0)
        stop = np.minimum(np.ceil(place + reach * radius).astype(int) + 1, grid.size)
        axes = [np.arange(low, high) for low, high in zip(first, stop, strict=True)]
        offsets = np.stack(np.meshgrid(*axes, indexing='ij'), axis=-1) - place
        distances = np.square(offsets @ affine[:3, :3].T).sum(axis=-1)
        box = tuple(slice(low, high) for low, high in zip(first, stop, strict=True))
        labels[box][distances <= radius**2 * (1 + _ROUNDING)] = 1
        labels[_nearest(place, grid)] = 1
    return labels


def check_inside(grid: Grid, nodules: Nodules, series: str) -> None:
    """Refuse nodules whose centre lies in no voxel of the scan.

    Args:
        grid (Grid): Of the scan.
        nodules (np.ndarray): shape (N, 4).
        series (str): For the message.

    Raises:
        DataError: There is one, or the scan has no affine.
    """
    if not len(nodules):
        return
    if grid.affine is None:
        raise data_error(
            grid.name,
            expected='a scan with its place in space, where annotations in mm are looked up',
            found='a file without geometry',
            remedy='Use the .mhd files of the release.',
        )
    places = world_to_voxel(nodules[:, :3], grid.affine)
    outside = ((places < -0.5) | (places > np.asarray(grid.size) - 0.5)).any(axis=1)
    if outside.any():
        number = int(outside.argmax())
        low, high = np.sort(voxel_to_world(np.array([[0, 0, 0], np.asarray(grid.size) - 1]), grid.affine), axis=0)
        point, last = (_words(values) for values in (nodules[number, :3], places[number]))
        raise data_error(
            f'series {series}',
            expected=f'annotations inside the scan ({_words(low)} to {_words(high)} mm in RAS, size {grid.size})',
            found=f'one at {point} mm, which is voxel {last}',
            remedy='Correct the row of annotations.csv (coordinates are those of ITK: x and y with the other sign), '
            'or leave the series out with exclude of the dataset.',
        )


def _affine(grid: Grid) -> np.ndarray:
    if grid.affine is None:
        raise ValueError(f'{grid.name}: balls of a diameter in mm need an affine')
    return grid.affine


def _nearest(place: np.ndarray, grid: Grid) -> tuple[int, ...]:
    return tuple(np.clip(np.rint(place).astype(int), 0, np.asarray(grid.size) - 1).tolist())


def _words(values: np.ndarray) -> str:
    return '(' + ', '.join(f'{value:.1f}' for value in values) + ')'
