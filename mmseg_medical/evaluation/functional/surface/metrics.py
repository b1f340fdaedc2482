"""Surface metrics of one class as reductions of its distances.

What they are worth where a mask is empty is in :mod:`~mmseg_medical.evaluation.functional.empty`.
"""

from __future__ import annotations

import math
from typing import Literal

import numpy as np

from mmseg_medical.evaluation.functional.empty import STATES, EmptyPolicy
from mmseg_medical.evaluation.functional.overlap import Policy
from mmseg_medical.evaluation.functional.surface.distances import SurfaceDistances

Pooling = Literal['max', 'pooled']
POOLINGS = ('max', 'pooled')


def hausdorff(
    distances: SurfaceDistances, percentile: float = 100.0, pooling: Pooling = 'max', empty: Policy = 'strict'
) -> float:
    """Hausdorff distance in mm, or a percentile in its place.

    The percentile of voxels is interpolated linearly, as MONAI does; that of surfels is the smallest distance within
    which lies that share of the area, as the surface-distance library does.

    Args:
        distances (SurfaceDistances): of one class.
        percentile (float): 0..100; 100 is the maximum, 95 gives HD95.
        pooling (str): ``'max'`` takes the percentile in each direction and then the larger one, as MONAI and
            surface-distance do; ``'pooled'`` takes it over the distances of both directions together, as medpy does.
            They agree for the maximum.
        empty (str | EmptyPolicy | dict): what empty masks are worth.

    Returns:
        float: mm, NaN where undefined.

    Raises:
        ValueError: the percentile lies outside 0..100, or there is no such pooling or policy.
    """
    if not 0 <= percentile <= 100:
        raise ValueError(f'percentile must lie in 0..100, got {percentile}')
    if pooling not in POOLINGS:
        raise ValueError(f'pooling must be one of {", ".join(POOLINGS)}, got {pooling!r}')
    if distances.state != 'valid':
        return _distance_of_empty(distances, empty)
    d = distances
    if pooling == 'max':
        return max(
            _percentile(d.pred_to_target_mm, d.pred_areas, percentile),
            _percentile(d.target_to_pred_mm, d.target_areas, percentile),
        )
    areas = None
    if d.pred_areas is not None and d.target_areas is not None:
        areas = np.concatenate((d.pred_areas, d.target_areas))
    return _percentile(np.concatenate((d.pred_to_target_mm, d.target_to_pred_mm)), areas, percentile)


def assd(distances: SurfaceDistances, empty: Policy = 'strict') -> float:
    """Average symmetric surface distance in mm: the mean over both surfaces taken together.

    Args:
        distances (SurfaceDistances): of one class.
        empty (str | EmptyPolicy | dict): what empty masks are worth.

    Returns:
        float: mm, weighted by area for surfels, NaN where undefined.
    """
    if distances.state != 'valid':
        return _distance_of_empty(distances, empty)
    (pred_sum, pred_size), (target_sum, target_size) = _directed_sums(distances)
    return (pred_sum + target_sum) / (pred_size + target_size)


def masd(distances: SurfaceDistances, empty: Policy = 'strict') -> float:
    """Mean average surface distance in mm: the mean of the two directed means, however large the surfaces are.

    Arguments and result as for :func:`assd`.
    """
    if distances.state != 'valid':
        return _distance_of_empty(distances, empty)
    (pred_sum, pred_size), (target_sum, target_size) = _directed_sums(distances)
    return (pred_sum / pred_size + target_sum / target_size) / 2


def nsd(distances: SurfaceDistances, tolerance_mm: float, empty: Policy = 'strict') -> float:
    """Normalised surface Dice: the share of both surfaces that lies within a tolerance of the other one.

    Args:
        distances (SurfaceDistances): of one class.
        tolerance_mm (float): 0 or more; a distance equal to it is within.
        empty (str | EmptyPolicy | dict): what empty masks are worth.

    Returns:
        float: 0..1, by area for surfels and by number for voxels, NaN where undefined.

    Raises:
        ValueError: the tolerance is negative or NaN.
    """
    if not tolerance_mm >= 0:
        raise ValueError(f'tolerance_mm must be 0 or more, got {tolerance_mm}')
    if distances.state != 'valid':
        return _of_empty(distances, empty, best=1.0, worst=0.0)
    within = total = 0.0
    for mm, areas in (
        (distances.pred_to_target_mm, distances.pred_areas),
        (distances.target_to_pred_mm, distances.target_areas),
    ):
        near = mm <= tolerance_mm
        within += float(np.count_nonzero(near) if areas is None else areas[near].sum())
        total += float(mm.size if areas is None else areas.sum())
    return within / total


def _directed_sums(distances: SurfaceDistances) -> tuple[tuple[float, float], tuple[float, float]]:
    """Sum of the distances and size of the surface, of prediction and target."""

    def directed(mm: np.ndarray, areas: np.ndarray | None) -> tuple[float, float]:
        if areas is None:
            return float(mm.sum()), float(mm.size)
        # no product of BLAS, whose idle threads would keep a core busy when the next case is measured
        return float((mm * areas).sum()), float(areas.sum())

    return (
        directed(distances.pred_to_target_mm, distances.pred_areas),
        directed(distances.target_to_pred_mm, distances.target_areas),
    )


def _percentile(mm: np.ndarray, areas: np.ndarray | None, percentile: float) -> float:
    if percentile == 100:
        return float(mm.max())
    if areas is None:
        return float(np.percentile(mm, percentile))
    order = np.argsort(mm)
    share = np.cumsum(areas[order])
    place = int(np.searchsorted(share, share[-1] * percentile / 100))
    # Where a share meets the percentile, rounding decides: then the sums are made as the reference makes them.
    if np.abs(share[max(place - 1, 0) : place + 1] / share[-1] - percentile / 100).min() < 1e-9:
        order = np.lexsort((areas, mm))
        place = int(np.searchsorted(np.cumsum(areas[order]) / np.sum(areas[order]), percentile / 100))
    return float(mm[order[min(place, mm.size - 1)]])


def _distance_of_empty(distances: SurfaceDistances, empty: Policy) -> float:
    return _of_empty(distances, empty, best=0.0, worst=distances.diagonal_mm)


def _of_empty(distances: SurfaceDistances, empty: Policy, best: float, worst: float) -> float:
    return float(EmptyPolicy.of(empty).fill(math.nan, STATES.index(distances.state), best, worst))
