"""What the functions take: NumPy arrays and tensors, checked once and named in every message."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

ArrayLike = np.ndarray | Tensor


def as_tensor(array: ArrayLike) -> Tensor:
    """View an array as a tensor; copies only what torch cannot view (negative strides, unsigned wide integers)."""
    if isinstance(array, Tensor):
        return array.detach()  # numbers are read from it, no gradients
    array = np.asarray(array)
    if array.dtype.kind == 'u' and array.dtype.itemsize > 1:
        if array.dtype == np.uint64 and array.size and array.max() > np.iinfo(np.int64).max:
            raise ValueError(f'labels must fit into int64, got {array.max()}')
        array = array.astype(np.int64)
    if not array.flags.writeable or any(stride < 0 for stride in array.strides):
        array = array.copy()
    if not array.dtype.isnative:
        array = array.astype(array.dtype.newbyteorder('='))
    return torch.from_numpy(array)


def as_labels(array: ArrayLike, name: str) -> Tensor:
    """Read an array as integer labels.

    Args:
        array (np.ndarray | Tensor): shape (*S); integers, bool, or floats that hold integers.
        name (str): what messages call it.

    Returns:
        Tensor: shape (*S), of an integer type; bool becomes uint8, floats int64.

    Raises:
        TypeError: it is complex.
        ValueError: a float is NaN, infinite or no integer.
    """
    labels = as_tensor(array)
    if labels.dtype == torch.bool:
        return labels.view(torch.uint8)
    if labels.is_complex():
        raise TypeError(f'{name} must hold integer labels, got {labels.dtype}')
    if not labels.is_floating_point():
        return labels
    rounded = labels.to(torch.int64)
    wrong = rounded != labels  # true for NaN and infinity as well
    if bool(wrong.any()):
        first = float(labels[wrong][0])
        raise ValueError(
            f'{name} must hold integer labels, got {labels.dtype} with {int(wrong.sum())} values such as {first:g}; '
            'round or threshold it where its meaning is known'
        )
    return rounded


def check_range(labels: Tensor, num_classes: int, name: str, ignore_index: int | None) -> None:
    """Raise a ValueError that lists the labels outside 0..num_classes - 1, if there are any."""
    low, high = (int(v) for v in labels.aminmax())
    if low >= 0 and high < num_classes:
        return
    wrong = labels[(labels < 0) | (labels >= num_classes)]
    values, numbers = wrong.unique(return_counts=True)
    shown = ', '.join(f'{int(v)} ({int(n)} px)' for v, n in zip(values[:5], numbers[:5], strict=True))
    more = f' and {len(values) - 5} more values' if len(values) > 5 else ''
    raise ValueError(
        f'{name} holds labels outside 0..{num_classes - 1}: {shown}{more}; '
        f'num_classes={num_classes}, ignore_index={ignore_index}'
    )


def as_probabilities(array: ArrayLike, name: str) -> Tensor:
    """Read an array as probabilities.

    Args:
        array (np.ndarray | Tensor): shape (*S), of a float type.
        name (str): what messages call it.

    Raises:
        TypeError: it is not of a float type.
        ValueError: a value is NaN or outside 0..1.
    """
    scores = as_tensor(array)
    if not scores.is_floating_point():
        raise TypeError(f'{name} must be probabilities of a float type, got {scores.dtype}')
    if scores.numel():
        low, high = (float(v) for v in scores.aminmax())
        if not (low >= 0 and high <= 1):
            kind = 'NaN' if math.isnan(low) else f'values in {low:.6g}..{high:.6g}'
            raise ValueError(f'{name} must be probabilities in 0..1, got {kind}')
    return scores


def check_same_shape(pred: ArrayLike, target: ArrayLike) -> None:
    """Raise a ValueError unless prediction and target have one shape."""
    if pred.shape != target.shape:
        raise ValueError(f'pred and target must have one shape, got {tuple(pred.shape)} and {tuple(target.shape)}')


def checked_spacing(spacing_mm: Sequence[float] | None, ndim: int) -> tuple[float, ...]:
    """Distance between neighbouring pixels along each array axis.

    Args:
        spacing_mm (Sequence[float] | None): one positive number an axis, in array order; None is 1 along each.
        ndim (int): number of axes.

    Raises:
        ValueError: the length differs from ``ndim``, or a number is not positive and finite.
    """
    if spacing_mm is None:
        return (1.0,) * ndim
    spacing = tuple(float(s) for s in spacing_mm)
    if len(spacing) != ndim:
        raise ValueError(f'spacing_mm must have one number for each of the {ndim} axes, got {spacing}')
    if not all(s > 0 and math.isfinite(s) for s in spacing):
        raise ValueError(f'spacing_mm must be positive and finite along each axis, got {spacing}')
    return spacing
