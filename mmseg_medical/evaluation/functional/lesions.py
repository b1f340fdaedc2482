"""Lesion-wise detection: which connected components were found, which were missed, which are false.

Two criteria, by name:

- ``'overlap'``: a target is detected if at least the share ``threshold`` of its pixels is covered by the prediction as
  a whole; with the default 0, one common pixel suffices. A prediction is a false positive if it touches no target.
  Pieces of one target are not punished, and one prediction may detect several targets. A prediction that touches
  targets without detecting one is neither a hit nor a false positive.
- ``'iou'``: predictions and targets are matched one to one, by intersections over union above ``threshold``. From 0.5
  on there is one such matching (Kirillov et al. 2019, arXiv:1801.00868, section 4.1); below, it is the one with
  the largest sum of IoU. Whatever is left over is a miss or a false positive.

With ``min_volume_mm3``, predictions below it are removed first. Targets below it are ignored: neither hits nor misses,
and a prediction that touches ignored targets only is no false positive.

Counts add up over cases, and scores follow from the sums. What they are worth without any target or prediction is in
:mod:`~mmseg_medical.evaluation.functional.empty`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from typing import Any, Literal

import numpy as np
from scipy.optimize import linear_sum_assignment
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components as graph_components

from mmseg_medical.evaluation.functional.arrays import ArrayLike, check_same_shape
from mmseg_medical.evaluation.functional.components import (
    Components,
    Connectivity,
    as_mask,
    component_overlaps,
    connected_components,
    numbered,
)
from mmseg_medical.evaluation.functional.overlap import Policy, f_beta, precision, recall

Criterion = Literal['overlap', 'iou']
#: criteria and their default thresholds
CRITERIA = {'overlap': 0.0, 'iou': 0.5}


@dataclass(frozen=True)
class LesionCounts:
    """Lesions of any number of cases; ``sum(counts, LesionCounts())`` pools them.

    Attributes:
        tp (int | np.ndarray): detected targets, or shape (K,), of each class; likewise the others.
        fp (int | np.ndarray): false predictions.
        fn (int | np.ndarray): missed targets.
        iou_sum (float | np.ndarray): sum of the IoU of matched pairs; 0 for ``'overlap'``, which has none.
    """

    tp: Any = 0
    fp: Any = 0
    fn: Any = 0
    iou_sum: Any = 0.0

    def __add__(self, other: LesionCounts) -> LesionCounts:
        return LesionCounts(*(getattr(self, f.name) + getattr(other, f.name) for f in fields(self)))

    def pooled(self) -> LesionCounts:
        """Counts of all classes together."""
        tp, fp, fn = (int(np.sum(c)) for c in (self.tp, self.fp, self.fn))
        return LesionCounts(tp, fp, fn, float(np.sum(self.iou_sum)))


@dataclass(frozen=True)
class LesionMatch:
    """Targets and predictions of one case.

    Attributes:
        criterion (str): ``'overlap'`` or ``'iou'``.
        threshold (float): of the criterion.
        num_target (int): targets that count, ``tp + fn``.
        num_pred (int): predictions that count: neither removed nor on ignored targets only.
        tp (int): detected targets.
        fp (int): false predictions.
        fn (int): missed targets.
        target_ids (np.ndarray): shape (T,), int64, numbers of all targets: those of
            :func:`~mmseg_medical.evaluation.functional.components.connected_components`, or the ids of instances.
        target_volumes_mm3 (np.ndarray): shape (T,), float64; pixels without spacing.
        target_detected (np.ndarray): shape (T,), bool.
        target_ignored (np.ndarray): shape (T,), bool, below the smallest volume.
        pred_ids (np.ndarray): shape (P,), int64, numbers of all predictions, likewise.
        pred_volumes_mm3 (np.ndarray): shape (P,), float64.
        pred_false (np.ndarray): shape (P,), bool, false positives.
        pred_ignored (np.ndarray): shape (P,), bool, removed or on ignored targets only.
        pairs (np.ndarray): shape (M, 2), int64, ids of target and prediction, sorted: the matched ones for ``'iou'``,
            all that overlap for ``'overlap'``; none with an ignored member.
        ious (np.ndarray): shape (M,), float64, intersection over union of each pair.
        dices (np.ndarray): shape (M,), float64, Dice score of each pair.
    """

    criterion: str
    threshold: float
    num_target: int
    num_pred: int
    tp: int
    fp: int
    fn: int
    target_ids: np.ndarray = field(repr=False)
    target_volumes_mm3: np.ndarray = field(repr=False)
    target_detected: np.ndarray = field(repr=False)
    target_ignored: np.ndarray = field(repr=False)
    pred_ids: np.ndarray = field(repr=False)
    pred_volumes_mm3: np.ndarray = field(repr=False)
    pred_false: np.ndarray = field(repr=False)
    pred_ignored: np.ndarray = field(repr=False)
    pairs: np.ndarray = field(repr=False)
    ious: np.ndarray = field(repr=False)
    dices: np.ndarray = field(repr=False)

    @property
    def counts(self) -> LesionCounts:
        """The numbers that add up over cases."""
        iou_sum = float(self.ious.sum()) if self.criterion == 'iou' else 0.0
        return LesionCounts(self.tp, self.fp, self.fn, iou_sum)


def match_lesions(
    pred: ArrayLike,
    target: ArrayLike,
    criterion: Criterion = 'overlap',
    threshold: float | None = None,
    *,
    spacing_mm: Sequence[float] | None = None,
    min_volume_mm3: float = 0.0,
    connectivity: Connectivity = 'full',
) -> LesionMatch:
    """Match the connected components of two masks; the rules stand at the top of this module.

    Args:
        pred (np.ndarray | Tensor): shape (*S), bool, or the values 0 and 1.
        target (np.ndarray | Tensor): same shape, likewise.
        criterion (str): ``'overlap'`` or ``'iou'``.
        threshold (float | None): smallest covered share of a target in 0..1, or IoU in 0 to below 1 that a pair must
            exceed; None is 0 for ``'overlap'`` and 0.5 for ``'iou'``.
        spacing_mm (Sequence[float] | None): distance between neighbours along each axis of the array; None counts
            pixels instead of mm^3.
        min_volume_mm3 (float): smallest volume of a lesion: mm^3 for three axes, mm^2 for two, pixels without spacing.
        connectivity (str): ``'full'`` or ``'face'``.

    Raises:
        TypeError: a mask is complex.
        ValueError: shapes differ, a mask holds other values, an argument is out of its range or has no such name.

    Example:
        >>> match = match_lesions(np.array([0, 1, 1, 0, 0, 1]), np.array([1, 1, 0, 1, 0, 0]))
        >>> match.tp, match.fp, match.fn
        (1, 1, 1)
    """
    check_same_shape(pred, target)
    limit = _checked_threshold(criterion, threshold)
    pred_parts = connected_components(as_mask(pred, 'pred'), connectivity)
    target_parts = connected_components(as_mask(target, 'target'), connectivity)
    ids = np.arange(1, pred_parts.num + 1), np.arange(1, target_parts.num + 1)
    return _match(pred_parts, target_parts, *ids, criterion, limit, spacing_mm, min_volume_mm3)


def match_instances(
    pred: ArrayLike,
    target: ArrayLike,
    criterion: Criterion = 'iou',
    threshold: float | None = None,
    *,
    spacing_mm: Sequence[float] | None = None,
    min_volume_mm3: float = 0.0,
) -> LesionMatch:
    """Match the instances of two instance maps, connected or not; the rules stand at the top of this module.

    Args:
        pred (np.ndarray | Tensor): shape (*S), integers, 0 is background and every other number an instance.
        target (np.ndarray | Tensor): same shape, likewise; the numbers of the two maps have nothing to do with each
            other.
        criterion (str): see :func:`match_lesions`, as are the other arguments.
        threshold (float | None): see there.
        spacing_mm (Sequence[float] | None): see there.
        min_volume_mm3 (float): see there.

    Raises:
        TypeError: a map is complex.
        ValueError: shapes differ, a map holds negative or broken numbers, an argument is out of its range.

    Example:
        >>> match_instances(np.array([7, 7, 7, 0]), np.array([2, 2, 2, 2])).ious
        array([0.75])
    """
    check_same_shape(pred, target)
    limit = _checked_threshold(criterion, threshold)
    pred_parts, pred_ids = numbered(pred, 'pred')
    target_parts, target_ids = numbered(target, 'target')
    return _match(pred_parts, target_parts, pred_ids, target_ids, criterion, limit, spacing_mm, min_volume_mm3)


def lesion_sensitivity(tp: Any, fp: Any, fn: Any, empty: Policy = 'strict') -> np.ndarray:
    """Share of the targets that were detected, tp / (tp + fn).

    Args:
        tp (array-like): shape (*B), integers, detected targets, of one case or summed over cases.
        fp (array-like): shape (*B), false predictions.
        fn (array-like): shape (*B), missed targets.
        empty (str | EmptyPolicy | dict): what is worth a case without targets (``tp + fn = 0``), without predictions
            (``tp + fp = 0``: nothing detected and nothing false), or without either.

    Returns:
        np.ndarray: shape (*B), float64 in 0..1, NaN where undefined.

    Raises:
        TypeError: counts are no integers.
        ValueError: counts are negative, or there is no such policy.

    Example:
        >>> lesion_sensitivity([3, 0, 0], [1, 2, 0], [1, 0, 0]).tolist()
        [0.75, 0.0, nan]
    """
    return recall(tp, fp, fn, empty)


def lesion_precision(tp: Any, fp: Any, fn: Any, empty: Policy = 'strict') -> np.ndarray:
    """Share of hits among hits and false predictions, tp / (tp + fp); arguments as for :func:`lesion_sensitivity`."""
    return precision(tp, fp, fn, empty)


def lesion_f1(tp: Any, fp: Any, fn: Any, empty: Policy = 'strict') -> np.ndarray:
    """Lesion-wise F1 score 2 tp / (2 tp + fp + fn); arguments as for :func:`lesion_sensitivity`."""
    return f_beta(tp, fp, fn, 1.0, empty)


def _match(
    pred: Components,
    target: Components,
    pred_ids: np.ndarray,
    target_ids: np.ndarray,
    criterion: Criterion,
    threshold: float,
    spacing_mm: Sequence[float] | None,
    min_volume_mm3: float,
) -> LesionMatch:
    removed = ~pred.reach(min_volume_mm3, spacing_mm)
    target_ignored = ~target.reach(min_volume_mm3, spacing_mm)
    pairs, shared = component_overlaps(target, pred)
    t, p = pairs.T - 1
    present = ~removed[p]
    t, p, shared = t[present], p[present], shared[present]
    counted = ~target_ignored[t]
    on_ignored = _marked(p[~counted], pred.num) & ~_marked(p[counted], pred.num)
    t, p, shared = t[counted], p[counted], shared[counted]

    sums = target.sizes[t] + pred.sizes[p]
    ious, dices = shared / (sums - shared), 2 * shared / sums
    if criterion == 'overlap':
        covered = np.bincount(t, weights=shared, minlength=target.num)
        target_detected = (covered > 0) & (covered / target.sizes >= threshold)
        chosen = np.arange(t.size)
    else:
        chosen = _one_to_one(t, p, ious, threshold)
        target_detected = _marked(t[chosen], target.num)
    t, p = t[chosen], p[chosen]
    matched = _marked(p, pred.num)
    # a prediction that lost its counted target to another one is false, even if it touches an ignored one too
    pred_ignored = removed | (on_ignored & ~matched)
    pred_false = ~(pred_ignored | matched)
    tp, fp = int(target_detected.sum()), int(pred_false.sum())
    num_target = int((~target_ignored).sum())
    return LesionMatch(
        criterion=criterion,
        threshold=threshold,
        num_target=num_target,
        num_pred=int((~pred_ignored).sum()),
        tp=tp,
        fp=fp,
        fn=num_target - tp,
        target_ids=target_ids,
        target_volumes_mm3=target.volumes_mm3(spacing_mm),
        target_detected=target_detected,
        target_ignored=target_ignored,
        pred_ids=pred_ids,
        pred_volumes_mm3=pred.volumes_mm3(spacing_mm),
        pred_false=pred_false,
        pred_ignored=pred_ignored,
        pairs=np.stack((target_ids[t], pred_ids[p]), axis=1),
        ious=ious[chosen],
        dices=dices[chosen],
    )


def _one_to_one(t: np.ndarray, p: np.ndarray, ious: np.ndarray, threshold: float) -> np.ndarray:
    """Places of the pairs of the matching above the threshold with the largest sum of IoU, ascending."""
    above = np.flatnonzero(ious > threshold)
    # of pairs that share no member with others there is nothing to choose
    alone = (np.bincount(t[above])[t[above]] == 1) & (np.bincount(p[above])[p[above]] == 1)
    chosen, rest = [above[alone]], above[~alone]
    if rest.size:
        offset = int(t.max()) + 1
        size = offset + int(p.max()) + 1
        edges = coo_array((np.ones(rest.size), (t[rest], offset + p[rest])), shape=(size, size))
        _, blocks = graph_components(edges, directed=False)
        order = np.argsort(blocks[t[rest]], kind='stable')
        ends = np.flatnonzero(np.diff(blocks[t[rest]][order])) + 1
        chosen += [_best_of_block(block, t, p, ious) for block in np.split(rest[order], ends)]
    return np.sort(np.concatenate(chosen))


def _best_of_block(block: np.ndarray, t: np.ndarray, p: np.ndarray, ious: np.ndarray) -> np.ndarray:
    (rows, row), (columns, column) = (np.unique(members[block], return_inverse=True) for members in (t, p))
    weights, places = np.zeros((rows.size, columns.size)), np.full((rows.size, columns.size), -1)
    weights[row, column], places[row, column] = ious[block], block
    best = places[linear_sum_assignment(weights, maximize=True)]
    return best[best >= 0]


def _marked(places: np.ndarray, size: int) -> np.ndarray:
    marks = np.zeros(size, bool)
    marks[places] = True
    return marks


def _checked_threshold(criterion: str, threshold: float | None) -> float:
    if criterion not in CRITERIA:
        raise ValueError(f'criterion must be one of {", ".join(CRITERIA)}, got {criterion!r}')
    if threshold is None:
        return CRITERIA[criterion]
    if not 0 <= threshold <= 1 or (criterion == 'iou' and threshold == 1):
        limits = '0..1' if criterion == 'overlap' else '0 to below 1, since an IoU must exceed it'
        raise ValueError(f'threshold of the criterion {criterion!r} must be in {limits}, got {threshold}')
    return float(threshold)
