"""Labels from scores."""

from __future__ import annotations

import torch
from torch import Tensor


def argmax_labels(scores: Tensor) -> Tensor:
    """Class of the largest score; of equal ones the first.

    Many times faster on a CPU than ``scores.argmax(0)``, which strides over the classes of each point, and without
    its int64 indices.

    Args:
        scores: shape (K, *S), K >= 1. A point with a NaN gets one of the labels.

    Returns:
        Labels of shape (1, *S), uint8 for up to 256 classes, else int64.

    Example:
        >>> argmax_labels(torch.tensor([[0.0, 2.0, 1.0], [1.0, 2.0, 0.0]]))
        tensor([[1, 0, 0]], dtype=torch.uint8)
    """
    dtype = torch.uint8 if len(scores) <= 256 else torch.int64
    labels = torch.zeros(scores.shape[1:], dtype=dtype, device=scores.device)
    best = scores[0].clone()
    for label, values in enumerate(scores[1:], 1):
        # labels rise, so the largest of those that won is the last: cheaper than a masked write
        torch.maximum(labels, (values > best).to(dtype).mul_(label), out=labels)
        torch.maximum(best, values, out=best)
    return labels[None]
