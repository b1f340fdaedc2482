"""Surfaces of the classes of a label map as lists of sites."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Literal

import numpy as np

from mmseg_medical.evaluation.functional.surface.surfel_table import surfel_areas

Surface = Literal['voxel', 'surfel']
SURFACES = ('voxel', 'surfel')


@dataclass(frozen=True)
class Sites:
    """Surface of one class.

    Attributes:
        indices (np.ndarray): shape (3, P), int32, border voxels or cells; the first is constant for two axes.
        areas (np.ndarray | None): shape (P,), float64, area in mm^2 (length in mm for two axes) of the surface in each
            cell; None for voxels, which count 1.
    """

    indices: np.ndarray
    areas: np.ndarray | None


def list_sites(labels: np.ndarray, num_labels: int, surface: Surface, spacing_mm: tuple[float, ...]) -> list[Sites]:
    """List the surface of each label.

    Args:
        labels (np.ndarray): shape (I, J, K) or (J, K), C-contiguous, unsigned integers below ``num_labels``.
        num_labels (int): number of labels, the background 0 among them.
        surface (str): ``'voxel'`` or ``'surfel'``.
        spacing_mm (tuple[float, ...]): of the axes.

    Returns:
        list[Sites]: of the labels 1 to ``num_labels - 1``; empty lists of sites for labels that do not occur.
    """
    from mmseg_medical.evaluation.functional.surface.kernels import elements

    planar = labels.ndim == 2
    volume = labels[None] if planar else labels
    first, last = np.empty(volume.shape[:2], np.int32), np.empty(volume.shape[:2], np.int32)
    elements.row_spans(volume, first, last)

    def visit(cursor: np.ndarray, size: int) -> tuple[np.ndarray, np.ndarray]:
        indices, codes = np.empty((3, size), np.int32), np.empty(size, np.uint8)
        if surface == 'surfel':
            elements.list_cells(volume, planar, first, last, cursor, indices, codes)
        else:
            elements.list_border(volume, planar, first, last, cursor, indices)
        return indices, codes

    counts = np.zeros(num_labels, np.int64)
    visit(counts, 0)
    ends = np.cumsum(counts)
    indices, codes = visit(ends - counts, int(ends[-1]))
    areas = surfel_areas(spacing_mm)[codes & 15 if planar else codes] if surface == 'surfel' else None
    return [
        Sites(indices[:, start:end], None if areas is None else areas[start:end])
        for start, end in itertools.pairwise(ends)
    ]
