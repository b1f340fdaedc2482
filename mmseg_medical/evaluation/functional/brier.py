"""Brier score: mean squared error of predicted probabilities."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from mmseg_medical.evaluation.functional.arrays import ArrayLike
from mmseg_medical.evaluation.functional.pieces import kept_pixels
from mmseg_medical.evaluation.functional.probability_targets import checked_targets


def brier_score(
    probabilities: ArrayLike, target: ArrayLike, over_classes: str = 'sum', ignore_index: int | None = 255
) -> np.ndarray:
    """Mean squared error of probabilities, 0 is best.

    G. W. Brier, Verification of forecasts expressed in terms of probability, Mon. Weather Rev. 78 (1950) 1-3.

    Args:
        probabilities (np.ndarray | Tensor): shape (C, *S), float, in 0..1; they sum to 1 over the classes if the
            target is a label map.
        target (np.ndarray | Tensor): shape (C, *S), masks of 0 and 1; or shape (*S), labels in 0..C - 1.
        over_classes (str): for label maps, 'sum' of the classes' errors, as Brier, in 0..2; or their 'mean'. Masks are
            scored class by class, whatever it says.
        ignore_index (int | None): target value of pixels left out.

    Returns:
        np.ndarray: float64, shape (C,) for masks, shape () for a label map; NaN if no pixel is left.

    Raises:
        ValueError: shapes do not match, probabilities are NaN or outside 0..1 or do not sum to 1, targets are no
            labels of a class, ``over_classes`` is unknown.

    Example:
        >>> p = np.array([[0.9, 0.4], [0.1, 0.6]])
        >>> float(brier_score(p, np.array([0, 1])).round(4)), brier_score(p[1:], np.array([[0, 1]])).round(4).tolist()
        (0.17, [0.085])
    """
    if over_classes not in ('sum', 'mean'):
        raise ValueError(f"over_classes must be 'sum' or 'mean', got {over_classes!r}")
    scores, targets = checked_targets(probabilities, target, ignore_index)
    if scores.ndim == targets.ndim:
        return np.array([_mean_square(s[None], t, ignore_index) for s, t in zip(scores, targets, strict=True)])
    total = _mean_square(scores, targets, ignore_index, label_map=True)
    return np.array(total if over_classes == 'sum' else total / scores.shape[0])


def _mean_square(scores: Tensor, targets: Tensor, ignore_index: int | None, label_map: bool = False) -> float:
    """Mean over the pixels of (K, *S) scores; the errors of the classes of a label map add up."""
    total, number = 0.0, 0
    for s, t in kept_pixels(scores, targets, ignore_index):
        error = s.double()
        truth = torch.zeros_like(error).scatter_(0, t[None].long(), 1.0) if label_map else t[None]
        total += float((error - truth).square().sum())
        number += t.numel()
    return total / number if number else math.nan
