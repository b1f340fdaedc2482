"""Free-response ROC: share of the targets found against false candidates per scan, over all thresholds of the score.

The conventions are those of LUNA16 (Setio et al. 2017, Medical Image Analysis 42, doi:10.1016/j.media.2017.06.015): of
several candidates on one target the one with the highest score counts, none of them is false, and candidates on
findings that are not part of the reference count nowhere. Counts run over all scans, those without targets included.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from mmseg_medical.evaluation.functional.arrays import ArrayLike, as_probabilities, check_same_shape
from mmseg_medical.evaluation.functional.components import (
    Connectivity,
    as_mask,
    component_overlaps,
    connected_components,
)

Interpolation = Literal['step', 'linear']
INTERPOLATIONS = ('step', 'linear')
Score = Literal['max', 'mean']
SCORES = ('max', 'mean')
#: false positives per scan at which LUNA16 reads the curve
LUNA16_RATES = (1 / 8, 1 / 4, 1 / 2, 1.0, 2.0, 4.0, 8.0)
#: hits of a candidate that is false
FALSE_POSITIVE = -1
#: hits of a candidate that counts nowhere
IGNORED = -2


@dataclass(frozen=True)
class ScanCandidates:
    """Candidates of one scan.

    Attributes:
        scores (np.ndarray): shape (M,), finite numbers; more is more certain.
        hits (np.ndarray): shape (M,), integers: the target that the candidate hits, a number of 0 or more; -1 if it is
            false; -2 if it is on an ignored finding. A candidate that hits several targets has a row for each.
        num_targets (int): targets of the scan, hit or not, without ignored ones.

    Raises:
        TypeError: hits are no integers.
        ValueError: scores are not finite, shapes are not one (M,), or more targets are hit than there are.
    """

    scores: np.ndarray = field(repr=False)
    hits: np.ndarray = field(repr=False)
    num_targets: int

    def __post_init__(self) -> None:
        scores, hits = np.asarray(self.scores, dtype=np.float64), np.asarray(self.hits)
        if scores.shape != hits.shape or scores.ndim != 1:
            raise ValueError(f'scores and hits must have one shape (M,), got {scores.shape} and {hits.shape}')
        if hits.size and hits.dtype.kind not in 'iu':
            raise TypeError(f'hits must hold integers, got {hits.dtype}')
        if not np.isfinite(scores).all():
            raise ValueError(f'scores must be finite, got {scores[~np.isfinite(scores)][0]}')
        if hits.size and hits.min() < IGNORED:
            raise ValueError(
                f'hits must be numbers of targets, {FALSE_POSITIVE} (false) or {IGNORED} (ignored), got {hits.min()}'
            )
        num_hit = np.unique(hits[hits >= 0]).size
        if num_hit > self.num_targets:
            raise ValueError(f'{num_hit} targets are hit, but num_targets is {self.num_targets}')
        object.__setattr__(self, 'scores', scores)
        object.__setattr__(self, 'hits', hits.astype(np.int64))


@dataclass(frozen=True)
class FrocCurve:
    """Free-response ROC curve of a set of scans.

    Attributes:
        thresholds (np.ndarray): shape (P,), falling from infinity; candidates with at least this score count.
        fp_per_scan (np.ndarray): shape (P,), false candidates per scan, rising from 0.
        sensitivity (np.ndarray): shape (P,), share of the targets found, rising from 0; NaN without targets.
        rates (np.ndarray): shape (R,), false positives per scan at which the curve was read.
        sensitivity_at_rates (np.ndarray): shape (R,), NaN without targets.
        mean_sensitivity (float): their mean, LUNA16's competition performance metric; NaN without targets.
        interpolation (str): how the curve was read.
        num_scans (int): all scans.
        num_targets (int): targets of all scans.
    """

    thresholds: np.ndarray = field(repr=False)
    fp_per_scan: np.ndarray = field(repr=False)
    sensitivity: np.ndarray = field(repr=False)
    rates: np.ndarray
    sensitivity_at_rates: np.ndarray
    mean_sensitivity: float
    interpolation: str
    num_scans: int
    num_targets: int


def froc(
    scans: Sequence[ScanCandidates],
    false_positive_rates: Sequence[float] = LUNA16_RATES,
    interpolation: Interpolation = 'step',
) -> FrocCurve:
    """Free-response ROC curve over a set of scans.

    Candidates of equal score enter together, so that their order does not matter.

    Args:
        scans (Sequence[ScanCandidates]): one a scan; scans without candidates and without targets belong to the set.
        false_positive_rates (Sequence[float]): false positives per scan, 0 or more.
        interpolation (str): ``'step'`` reads the largest sensitivity that some threshold reaches with at most the rate;
            ``'linear'`` interpolates between the thresholds (``np.interp``), as the evaluation script of LUNA16 does.
            Beyond the last point both stay at its sensitivity.

    Raises:
        ValueError: there is no scan or no rate, a rate is negative or not finite, or there is no such interpolation.

    Example:
        >>> scans = [ScanCandidates([0.9, 0.8, 0.4], [1, -1, 2], num_targets=2), ScanCandidates([], [], 0)]
        >>> curve = froc(scans, false_positive_rates=(0.25, 0.5))
        >>> curve.sensitivity_at_rates, curve.mean_sensitivity
        (array([0.5, 1. ]), 0.75)
    """
    rates = np.asarray(false_positive_rates, dtype=np.float64)
    if interpolation not in INTERPOLATIONS:
        raise ValueError(f'interpolation must be one of {", ".join(INTERPOLATIONS)}, got {interpolation!r}')
    if rates.ndim != 1 or not rates.size or not (np.isfinite(rates) & (rates >= 0)).all():
        raise ValueError(f'false_positive_rates must be numbers of 0 or more, at least one, got {rates.tolist()}')
    if not len(scans):
        raise ValueError('scans must hold at least one scan, got none')
    num_targets = sum(scan.num_targets for scan in scans)
    found = np.concatenate([_best_scores(scan) for scan in scans])
    false = np.concatenate([scan.scores[scan.hits == FALSE_POSITIVE] for scan in scans])
    falling = np.unique(np.concatenate((found, false)))[::-1]
    thresholds = np.concatenate(([math.inf], falling))
    fp_per_scan = _at_least(false, thresholds) / len(scans)
    sensitivity = _at_least(found, thresholds) / (num_targets or math.nan)
    if interpolation == 'step':
        at_rates = sensitivity[np.searchsorted(fp_per_scan, rates, side='right') - 1]
    else:
        at_rates = np.interp(rates, fp_per_scan, sensitivity)
    return FrocCurve(
        thresholds=thresholds,
        fp_per_scan=fp_per_scan,
        sensitivity=sensitivity,
        rates=rates,
        sensitivity_at_rates=at_rates,
        mean_sensitivity=float(at_rates.mean()),
        interpolation=interpolation,
        num_scans=len(scans),
        num_targets=num_targets,
    )


def candidates_from_map(
    probabilities: ArrayLike,
    target: ArrayLike,
    threshold: float,
    *,
    score: Score = 'max',
    spacing_mm: Sequence[float] | None = None,
    min_volume_mm3: float = 0.0,
    connectivity: Connectivity = 'full',
) -> ScanCandidates:
    """Make candidates of a probability map: its connected components above a threshold.

    A component hits every target that it shares a pixel with. The threshold should be low: what lies below it cannot
    be found at any rate of false positives.

    Args:
        probabilities (np.ndarray | Tensor): shape (*S), float in 0..1, of the lesion.
        target (np.ndarray | Tensor): same shape, bool, or the values 0 and 1; its connected components are the targets.
        threshold (float): above 0, up to 1; components are made of the pixels with at least this probability.
        score (str): ``'max'`` or ``'mean'`` of the probabilities of a component's pixels.
        spacing_mm (Sequence[float] | None): distance between neighbours along each axis of the array; None counts
            pixels instead of mm^3.
        min_volume_mm3 (float): smaller candidates are removed. Smaller targets are ignored: they are not in
            ``num_targets``, and a candidate that touches only such counts nowhere.
        connectivity (str): ``'full'`` or ``'face'``.

    Raises:
        TypeError: the map is of no float type, or the target is complex.
        ValueError: shapes differ, probabilities are NaN or outside 0..1, the target holds other values, or an argument
            is out of its range or has no such name.

    Example:
        >>> scan = candidates_from_map(np.array([0.2, 0.9, 0.0, 0.3]), np.array([0, 1, 0, 0]), threshold=0.1)
        >>> scan.scores.tolist(), scan.hits.tolist(), scan.num_targets
        ([0.9, 0.3], [1, -1], 1)
    """
    if not 0 < threshold <= 1:
        raise ValueError(f'threshold must lie above 0 and be at most 1, got {threshold}')
    if score not in SCORES:
        raise ValueError(f'score must be one of {", ".join(SCORES)}, got {score!r}')
    check_same_shape(probabilities, target)
    scores_of_pixels = as_probabilities(probabilities, 'probabilities').detach()
    pred = connected_components(scores_of_pixels >= threshold, connectivity)
    truth = connected_components(as_mask(target, 'target'), connectivity)
    filled = pred.labels > 0
    pixels, owners = scores_of_pixels.double().cpu().numpy()[filled], pred.labels[filled] - 1
    if score == 'max':
        scores = np.zeros(pred.num)
        np.maximum.at(scores, owners, pixels)
    else:
        scores = np.bincount(owners, weights=pixels, minlength=pred.num) / pred.sizes
    counts = truth.reach(min_volume_mm3, spacing_mm)
    hit, candidate = component_overlaps(truth, pred)[0].T
    on_counted = counts[hit - 1]
    untouched = np.setdiff1d(np.arange(1, pred.num + 1), candidate)
    only_ignored = np.setdiff1d(candidate[~on_counted], candidate[on_counted])
    numbers = np.concatenate((candidate[on_counted], only_ignored, untouched))
    hits = np.concatenate(
        (hit[on_counted], np.full(only_ignored.size, IGNORED), np.full(untouched.size, FALSE_POSITIVE))
    )
    order = np.lexsort((hits, numbers))
    stay = order[pred.reach(min_volume_mm3, spacing_mm)[numbers[order] - 1]]
    return ScanCandidates(scores[numbers[stay] - 1], hits[stay], int(counts.sum()))


def _best_scores(scan: ScanCandidates) -> np.ndarray:
    """Highest score on each target that was hit."""
    hit = scan.hits >= 0
    targets, place = np.unique(scan.hits[hit], return_inverse=True)
    best = np.full(targets.size, -math.inf)
    np.maximum.at(best, place, scan.scores[hit])
    return best


def _at_least(scores: np.ndarray, thresholds: np.ndarray) -> np.ndarray:
    """Number of scores at or above each threshold."""
    return scores.size - np.searchsorted(np.sort(scores), thresholds, side='left')
