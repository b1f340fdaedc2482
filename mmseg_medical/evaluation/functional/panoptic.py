"""Panoptic quality: how well instances are found and how well the found ones are outlined, in one number.

Kirillov et al., Panoptic Segmentation, CVPR 2019, arXiv:1801.00868, equation 1, with the sum over matched pairs:

    PQ = SQ * RQ,    SQ = sum of IoU / tp,    RQ = tp / (tp + fp / 2 + fn / 2)

==================  ==================================  ==============================
state               targets and predictions             PQ, SQ, RQ
==================  ==================================  ==============================
``valid``           some were detected                  formula
``valid``           misses and false ones, no hit       0 (SQ is 0/0 in the paper)
``missed``          misses only                         0
``false_alarm``     false predictions only              0
``empty``           none                                undefined
==================  ==================================  ==============================

The last three lines follow the empty policy, see :mod:`~mmseg_medical.evaluation.functional.empty`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from torch import Tensor

from mmseg_medical.evaluation.functional.arrays import ArrayLike, as_labels, check_range, check_same_shape
from mmseg_medical.evaluation.functional.components import Connectivity
from mmseg_medical.evaluation.functional.empty import EmptyPolicy, states_of
from mmseg_medical.evaluation.functional.lesions import LesionCounts, match_instances, match_lesions
from mmseg_medical.evaluation.functional.overlap import Policy


@dataclass(frozen=True)
class PanopticQuality:
    """Panoptic quality of one class or of several.

    Attributes:
        pq (np.ndarray): shape (*B), float64 in 0..1, panoptic quality; NaN where undefined, as the others.
        sq (np.ndarray): shape (*B), segmentation quality: mean IoU of the matched pairs.
        rq (np.ndarray): shape (*B), recognition quality: the F1 score of the matching.
    """

    pq: np.ndarray
    sq: np.ndarray
    rq: np.ndarray


def panoptic_quality(counts: LesionCounts, empty: Policy = 'strict') -> PanopticQuality:
    """Panoptic quality of counts from the criterion ``'iou'``.

    The paper's PQ of a data set adds the counts up over its images, and then averages over classes
    (``np.nanmean(quality.pq)``). ``panoptic_quality(counts.pooled())`` takes all classes together instead.

    Args:
        counts (LesionCounts): integers, or of shape (*B): of one case or summed over cases.
        empty (str | EmptyPolicy | dict): what a class without targets, predictions or both is worth.

    Raises:
        ValueError: counts are negative, the sum of IoU does not fit to them (such as that of the criterion
            ``'overlap'``), or there is no such policy.

    Example:
        >>> quality = panoptic_quality(LesionCounts(tp=2, fp=1, fn=1, iou_sum=1.5))
        >>> float(quality.pq), float(quality.sq), round(float(quality.rq), 4)
        (0.5, 0.75, 0.6667)
    """
    tp, fp, fn = (np.asarray(c) for c in (counts.tp, counts.fp, counts.fn))
    iou_sum = np.asarray(counts.iou_sum, dtype=np.float64)
    for name, values in (('tp', tp), ('fp', fp), ('fn', fn)):
        if (values < 0).any():
            raise ValueError(f'{name} must not be negative, got {values.min()}')
    wrong = (iou_sum > tp) | ((iou_sum > 0) != (tp > 0))
    if wrong.any():
        raise ValueError(
            f'iou_sum must lie above 0 and be at most tp where there are hits, and be 0 elsewhere, '
            f"got {iou_sum.tolist()} for tp = {tp.tolist()}; match with criterion='iou'"
        )
    policy, states = EmptyPolicy.of(empty), states_of(tp + fp, tp + fn)
    sq = iou_sum / np.maximum(tp, 1)
    rq = 2 * tp / np.maximum(2 * tp + fp + fn, 1)
    return PanopticQuality(*(policy.fill(values, states, best=1.0, worst=0.0) for values in (sq * rq, sq, rq)))


def panoptic_counts(
    pred: ArrayLike,
    target: ArrayLike,
    num_classes: int,
    *,
    pred_instances: ArrayLike | None = None,
    target_instances: ArrayLike | None = None,
    threshold: float = 0.5,
    spacing_mm: Sequence[float] | None = None,
    min_volume_mm3: float = 0.0,
    connectivity: Connectivity = 'full',
) -> LesionCounts:
    """Match the instances of each class of two label maps, one to one by IoU.

    Args:
        pred (np.ndarray | Tensor): shape (*S), integers, class of each pixel.
        target (np.ndarray | Tensor): same shape, likewise.
        num_classes (int): number K of classes; 0 is background, which has no instances.
        pred_instances (np.ndarray | Tensor | None): shape (*S), integers, instance of each pixel, 0 for none; None
            takes the connected components of each class.
        target_instances (np.ndarray | Tensor | None): shape (*S), likewise; given or left out together.
        threshold (float): IoU that a pair must exceed, 0 to below 1.
        spacing_mm (Sequence[float] | None): see :func:`~mmseg_medical.evaluation.functional.lesions.match_lesions`, as
            are the other arguments.
        min_volume_mm3 (float): see there.
        connectivity (str): see there; unused with instances.

    Returns:
        LesionCounts: shape (K - 1,), of the classes 1 to K - 1.

    Raises:
        TypeError: a map is complex.
        ValueError: shapes differ, labels lie outside the range or are no integers, only one of the instance maps is
            given, or another argument is out of its range.
    """
    if num_classes < 2:
        raise ValueError(f'num_classes must be at least 2, the background and one class, got {num_classes}')
    if (pred_instances is None) != (target_instances is None):
        raise ValueError('pred_instances and target_instances must be given together')
    check_same_shape(pred, target)
    maps = [_checked_labels(array, num_classes, name) for array, name in ((pred, 'pred'), (target, 'target'))]
    of_components = partial(
        match_lesions,
        criterion='iou',
        threshold=threshold,
        spacing_mm=spacing_mm,
        min_volume_mm3=min_volume_mm3,
        connectivity=connectivity,
    )
    of_instances = partial(
        match_instances, criterion='iou', threshold=threshold, spacing_mm=spacing_mm, min_volume_mm3=min_volume_mm3
    )
    instances: list[np.ndarray] | None = None
    if pred_instances is not None and target_instances is not None:
        instances = []
        for array, name in ((pred_instances, 'pred_instances'), (target_instances, 'target_instances')):
            if tuple(array.shape) != tuple(pred.shape):
                raise ValueError(f'{name} must have the shape {tuple(pred.shape)} of pred, got {tuple(array.shape)}')
            instances.append(as_labels(array, name).cpu().numpy())
    counts = []
    for k in range(1, num_classes):
        masks = [labels == k for labels in maps]
        if instances is None:
            counts.append(of_components(*masks).counts)
        else:
            parts = [np.where(mask, ids, 0) for mask, ids in zip(masks, instances, strict=True)]
            counts.append(of_instances(*parts).counts)
    return LesionCounts(
        tp=np.array([c.tp for c in counts]),
        fp=np.array([c.fp for c in counts]),
        fn=np.array([c.fn for c in counts]),
        iou_sum=np.array([c.iou_sum for c in counts]),
    )


def _checked_labels(array: ArrayLike, num_classes: int, name: str) -> np.ndarray:
    labels: Tensor = as_labels(array, name)
    if labels.numel():
        check_range(labels, num_classes, name, None)
    return labels.cpu().numpy()
