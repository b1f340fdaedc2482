"""Exact confusion counts of label maps and of multi-label masks."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
import torch
from torch import Tensor

from mmseg_medical.evaluation.functional.arrays import ArrayLike, as_labels, check_range, check_same_shape
from mmseg_medical.evaluation.functional.pieces import kept_pixels


@dataclass(frozen=True)
class ConfusionCounts:
    """Pixels of each class by agreement of prediction and target.

    Attributes:
        tp (np.ndarray): shape (K,), int64, in prediction and target.
        fp (np.ndarray): shape (K,), int64, only in the prediction.
        fn (np.ndarray): shape (K,), int64, only in the target.
        tn (np.ndarray): shape (K,), int64, in neither.
    """

    tp: np.ndarray
    fp: np.ndarray
    fn: np.ndarray
    tn: np.ndarray

    def __add__(self, other: ConfusionCounts) -> ConfusionCounts:
        return ConfusionCounts(*(getattr(self, f.name) + getattr(other, f.name) for f in fields(self)))

    @classmethod
    def from_matrix(cls, matrix: np.ndarray) -> ConfusionCounts:
        """Counts of each class against all others.

        Args:
            matrix (np.ndarray): shape (K, K), rows are target classes, columns predicted ones.
        """
        tp = np.diagonal(matrix).copy()
        fp = matrix.sum(axis=0) - tp
        fn = matrix.sum(axis=1) - tp
        return cls(tp, fp, fn, matrix.sum() - tp - fp - fn)


def confusion_matrix(
    pred: ArrayLike, target: ArrayLike, num_classes: int, ignore_index: int | None = 255
) -> np.ndarray:
    """Count pixels by target class and predicted class.

    Args:
        pred (np.ndarray | Tensor): shape (*S), integers, bool, or floats that hold integers; predicted class of each
            pixel. The range is not checked at ignored pixels.
        target (np.ndarray | Tensor): shape (*S), likewise, true class of each pixel.
        num_classes (int): number K of classes; labels run from 0 to K - 1.
        ignore_index (int | None): target value of pixels that are left out; None leaves out none.

    Returns:
        np.ndarray: shape (K, K), int64; entry [t, p] is the number of pixels of class t labelled p.

    Raises:
        TypeError: a map is complex.
        ValueError: shapes differ, a label lies outside the range or is no integer; the message names the values.

    Example:
        >>> confusion_matrix(np.array([[0, 1, 1]]), np.array([[0, 1, 255]]), num_classes=2).tolist()
        [[1, 0], [0, 1]]
    """
    if num_classes < 1:
        raise ValueError(f'num_classes must be at least 1, got {num_classes}')
    pred, target = _paired(pred, target)
    counts = torch.zeros(num_classes**2, dtype=torch.int64, device=pred.device)
    for p, t in kept_pixels(pred, target, ignore_index):
        check_range(t, num_classes, 'target', ignore_index)
        check_range(p, num_classes, 'pred', ignore_index)
        counts += torch.bincount(t.long() * num_classes + p, minlength=num_classes**2)
    return counts.cpu().numpy().reshape(num_classes, num_classes)


def confusion_counts(
    pred: ArrayLike,
    target: ArrayLike,
    num_classes: int | None = None,
    *,
    multilabel: bool = False,
    ignore_index: int | None = 255,
) -> ConfusionCounts:
    """Count true and false positives and negatives of each class, exactly.

    Args:
        pred (np.ndarray | Tensor): a label map of shape (*S), or with ``multilabel`` masks of shape (C, *S) with
            values 0 and 1.
        target (np.ndarray | Tensor): same shape as ``pred``.
        num_classes (int | None): number of classes of label maps; masks have it in their shape.
        multilabel (bool): the first axis runs over classes, and classes may overlap.
        ignore_index (int | None): target value of pixels that are left out (per class, with ``multilabel``).

    Raises:
        TypeError: a map is complex.
        ValueError: shapes differ, values lie outside the range or are no integers, or ``num_classes`` is missing or
            contradicts the number of masks.

    Example:
        >>> confusion_counts(np.array([0, 1, 1]), np.array([0, 1, 0]), num_classes=2).fp.tolist()
        [0, 1]
    """
    if not multilabel:
        if num_classes is None:
            raise ValueError('num_classes is needed for label maps')
        return ConfusionCounts.from_matrix(confusion_matrix(pred, target, num_classes, ignore_index))
    pred, target = _paired(pred, target)
    if pred.ndim == 0 or (num_classes is not None and pred.shape[0] != num_classes):
        raise ValueError(
            f'multi-label masks have shape (C, *S) with C = {num_classes or "number of classes"}, '
            f'got {tuple(pred.shape)}'
        )
    counts = np.empty((4, pred.shape[0]), dtype=np.int64)
    for c in range(pred.shape[0]):
        try:
            (tn, fp), (fn, tp) = confusion_matrix(pred[c], target[c], 2, ignore_index)
        except ValueError as error:
            raise ValueError(f'mask {c} of the multi-label masks: {error}') from error
        counts[:, c] = tp, fp, fn, tn
    return ConfusionCounts(*counts)


def _paired(pred: ArrayLike, target: ArrayLike) -> tuple[Tensor, Tensor]:
    check_same_shape(pred, target)
    pred, target = as_labels(pred, 'pred'), as_labels(target, 'target')
    return pred, target.to(pred.device)
