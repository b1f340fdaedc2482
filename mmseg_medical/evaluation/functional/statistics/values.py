"""What the statistics take: one number a case, all of them defined."""

from __future__ import annotations

import numpy as np

from mmseg_medical.evaluation.functional.arrays import ArrayLike, as_tensor


def as_values(values: ArrayLike, name: str) -> np.ndarray:
    """Read per-case values.

    Args:
        values (np.ndarray | Tensor): shape (N,), real numbers; NaN is a case without a value, infinities are kept.
        name (str): what messages call it.

    Returns:
        np.ndarray: shape (N,), float64, on the host.

    Raises:
        TypeError: the values are complex.
        ValueError: the shape is not (N,).
    """
    tensor = as_tensor(values)
    if tensor.ndim != 1:
        raise ValueError(f'{name} must have shape (N,), one value a case, got shape {tuple(tensor.shape)}')
    if tensor.is_complex():
        raise TypeError(f'{name} must hold real numbers, got {tensor.dtype}')
    return tensor.detach().double().cpu().numpy()


def as_defined_values(values: ArrayLike, name: str) -> np.ndarray:
    """Read per-case values of which none is NaN.

    Raises:
        ValueError: a value is NaN; which cases a statistic leaves out is the caller's to decide and to report.
    """
    array = as_values(values, name)
    undefined = int(np.isnan(array).sum())
    if undefined:
        raise ValueError(
            f'{name} holds {undefined} undefined values (NaN) among {array.size}; leave these cases out first '
            '(values[~np.isnan(values)]) and report how many they were'
        )
    return array


def paired_differences(a: ArrayLike, b: ArrayLike) -> np.ndarray:
    """Differences a - b case by case, exactly 0 where the two are equal, equal infinities among them.

    Args:
        a (np.ndarray | Tensor): shape (N,), one value a case, none of them NaN.
        b (np.ndarray | Tensor): shape (N,), those of the same cases in the same order.

    Returns:
        np.ndarray: shape (N,), float64, no NaN.

    Raises:
        ValueError: the lengths differ, or a value is NaN.
    """
    first, second = as_values(a, 'a'), as_values(b, 'b')
    if first.size != second.size:
        raise ValueError(f'a and b must hold the same cases in the same order, got {first.size} and {second.size}')
    undefined = int((np.isnan(first) | np.isnan(second)).sum())
    if undefined:
        raise ValueError(
            f'{undefined} of {first.size} pairs are undefined (NaN in a or b); leave these cases out of both first '
            'and report how many they were'
        )
    equal = first == second
    return np.subtract(first, second, out=np.zeros_like(first), where=~equal)
