"""From scores to probabilities and labels."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from mmseg_medical.ops import argmax_labels

#: a logit far below any a network gives: probability 1e-13, still finite in sums and means
IMPOSSIBLE_LOGIT = -30.0


def activate(logits: Tensor, multi_label: bool, dim: int = 0) -> Tensor:
    """Probabilities from logits whose classes lie along ``dim``: sigmoid of one class or of overlapping ones."""
    return logits.sigmoid() if multi_label or logits.shape[dim] == 1 else logits.softmax(dim=dim)


def decide(
    scores: Tensor, multi_label: bool, threshold: float | Sequence[float] = 0.5, probabilities: bool = False
) -> Tensor:
    """Labels from scores.

    Args:
        scores (Tensor): Logits or probabilities, shape (K, *S).
        multi_label (bool): Whether classes may overlap.
        threshold (float | Sequence[float]): Probability above which a voxel belongs to a mask, one or one a class.
        probabilities (bool): Whether the scores are probabilities.

    Returns:
        Tensor: Labels (1, *S), or with ``multi_label`` or a single class masks (K, *S) of 0 and 1; uint8, labels
        beyond 255 int64.
    """
    if not multi_label and scores.shape[0] > 1:
        return argmax_labels(scores.detach())
    # compared as probabilities, so that a threshold means the same with and without test-time augmentation
    limit = torch.as_tensor(threshold, dtype=torch.float32, device=scores.device)
    limit = limit.reshape(-1, *(1,) * (scores.ndim - 1))
    return ((scores if probabilities else scores.sigmoid()) > limit).to(torch.uint8)


def air_scores(number: int, multi_label: bool, probabilities: bool = False) -> list[float]:
    """Scores of a voxel that is certainly background, one a class.

    Args:
        number (int): Number K of channels of the scores.
        multi_label (bool): Whether classes may overlap.
        probabilities (bool): Whether the scores are probabilities.
    """
    absent, present = (0.0, 1.0) if probabilities else (IMPOSSIBLE_LOGIT, 0.0)
    first = absent if multi_label or number == 1 else present
    return [first, *[absent] * (number - 1)]
