"""Labels from scores, and labels of another size."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.functional import interpolate


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


_LINEAR = {1: 'linear', 2: 'bilinear', 3: 'trilinear'}


def resize_labels(labels: Tensor, size: Sequence[int], mode: str = 'linear') -> Tensor:
    """Give labels another size; each new voxel gets the label with the largest share in it, of equal ones the lowest.

    Unlike the choice of a single voxel this favours no side: a block of even length has no voxel in its middle.

    Args:
        labels: shape (*lead, *S), integers; masks of 0 and 1 are labels too.
        size: of the result, one number for each axis of S, at most three.
        mode: ``'linear'``: shares at the centre of the new voxel, interpolated linearly between the old ones around it,
            each label by itself. ``'area'``: shares in the whole block, the most frequent label; blocks overlap by a
            voxel where the size does not divide S, as those of torch's adaptive average do.

    Returns:
        Labels of shape (*lead, *size), same dtype.

    Example:
        >>> labels = torch.tensor([0, 2, 2, 0, 1, 1, 2, 1])
        >>> resize_labels(labels, (2,)), resize_labels(labels, (2,), 'area')
        (tensor([2, 1]), tensor([0, 1]))
    """
    rank = len(size)
    lead = labels.shape[: labels.ndim - rank]
    flat = labels.reshape(-1, 1, *labels.shape[labels.ndim - rank :])
    resized = torch.zeros(len(flat), 1, *size, dtype=labels.dtype, device=labels.device)
    most = torch.zeros(resized.shape, device=labels.device)
    options: dict = {'mode': 'area'} if mode == 'area' else {'mode': _LINEAR[rank], 'align_corners': False}
    for value in labels.unique():
        share = interpolate((flat == value).float(), tuple(size), **options)
        wins = share > most * (1 + 1e-5)  # equal shares may differ by rounding
        resized[wins] = value
        most = torch.where(wins, share, most)
    return resized.reshape(*lead, *size)
