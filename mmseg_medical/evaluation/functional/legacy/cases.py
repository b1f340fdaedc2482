"""What the presets share: checked pairs of label maps, counts and means."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from mmseg_medical.evaluation.functional.arrays import ArrayLike, as_labels, check_range, check_same_shape

#: one array, or several: cases or batches, as the preset says
Arrays = ArrayLike | Sequence[ArrayLike]
#: a number by metric, and a list by class under ``<metric>_per_class``
Scores = dict[str, float | list[float]]
Pair = tuple[np.ndarray, np.ndarray]


def label_pairs(pred: Arrays, target: Arrays, num_classes: int, ignore_index: int | None = None) -> list[Pair]:
    """Check label maps and pair them.

    Args:
        pred (array or sequence of arrays): each of shape (*S), integer labels in 0..num_classes - 1.
        target (array or sequence of arrays): as many, of the same shapes.
        num_classes (int): number of classes K, the background 0 among them.
        ignore_index (int | None): target value of pixels that are left out; the pairs are then flat.

    Returns:
        list[tuple[np.ndarray, np.ndarray]]: predictions and targets.

    Raises:
        ValueError: there are no maps, different numbers of them, shapes that differ, labels outside the range, or
            fewer than two classes.
    """
    preds, targets = _listed(pred), _listed(target)
    if num_classes < 2:
        raise ValueError(f'num_classes counts the background and must be at least 2, got {num_classes}')
    if len(preds) != len(targets) or not preds:
        raise ValueError(f'pred and target must be equally many maps, one or more, got {len(preds)} and {len(targets)}')
    return [_checked_pair(p, t, num_classes, ignore_index) for p, t in zip(preds, targets, strict=True)]


def _listed(arrays: Arrays) -> list[ArrayLike]:
    return list(arrays) if isinstance(arrays, (list, tuple)) else [arrays]  # type: ignore[list-item]


def _checked_pair(pred: ArrayLike, target: ArrayLike, num_classes: int, ignore_index: int | None) -> Pair:
    check_same_shape(pred, target)
    labels, truth = as_labels(pred, 'pred').cpu(), as_labels(target, 'target').cpu()
    if ignore_index is not None:
        counted = truth != ignore_index
        labels, truth = labels[counted], truth[counted]
    for name, array in (('pred', labels), ('target', truth)):
        if array.numel():
            check_range(array, num_classes, name, ignore_index)
    return labels.numpy(), truth.numpy()


def count(pred: np.ndarray, target: np.ndarray) -> tuple[int, int, int]:
    """Count the pixels that two masks share, those of the prediction and those of the target."""
    return int(np.count_nonzero(pred & target)), int(np.count_nonzero(pred)), int(np.count_nonzero(target))


def with_means(per_class: dict[str, list[float]]) -> Scores:
    """Put the mean over classes beside the values of the classes."""
    scores: Scores = {}
    for metric, values in per_class.items():
        scores[metric] = mean(values)
        scores[f'{metric}_per_class'] = values
    return scores


def mean(values: Sequence[float]) -> float:
    """Mean of the values that are not NaN; NaN if there is none."""
    defined = [value for value in values if not math.isnan(value)]
    return math.fsum(defined) / len(defined) if defined else math.nan
