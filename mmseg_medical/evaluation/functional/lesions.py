"""Lesion-wise detection: which connected components were found, which were missed, which are false.

Two criteria, by name:

- ``'overlap'``: a target is detected if at least the share ``threshold`` of its pixels is covered by the prediction as
  a whole; with the default 0, one common pixel suffices. A prediction is a false positive if it touches no target. Pieces
  of one target are not punished, and one prediction may detect several targets. A prediction that touches targets
  without detecting one is neither a hit nor a false positive.
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

from mmseg_medical.evaluation.functional.arrays import ArrayLike, as_labels, check_same_shape
from mmseg_medical.evaluation.functional.components import (
    Components,
    Connectivity,
    bounding_box,
    component_overlaps,
    connected_components,
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
        iou_sum (float | np.ndarray): sum of the IoU of matched pairs; 0 for the criterion ``'overlap'``, which has none.
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
    parts = [
        connected_components(as_named(mask, name), connectivity) for mask, name in ((pred, 'pred'), (target, 'target'))
    ]
    numbers = [np.arange(1, part.num + 1) for part in parts]
    return _match(*parts, *numbers, criterion, limit, spacing_mm, min_volume_mm3)
