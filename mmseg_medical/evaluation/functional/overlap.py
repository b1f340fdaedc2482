"""Overlap scores and volumes from exact counts; :mod:`~mmseg_medical.evaluation.functional.empty` rules empty masks."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from mmseg_medical.evaluation.functional.arrays import checked_spacing
from mmseg_medical.evaluation.functional.empty import EmptyPolicy, states_of

Policy = EmptyPolicy | str | Mapping[str, Any]


def dice(tp: Any, fp: Any, fn: Any, empty: Policy = 'strict') -> np.ndarray:
    """Dice score 2 tp / (2 tp + fp + fn).

    Args:
        tp (array-like): shape (*B), integers, pixels in prediction and target.
        fp (array-like): shape (*B), pixels only in the prediction.
        fn (array-like): shape (*B), pixels only in the target.
        empty (str | EmptyPolicy | dict): what empty masks are worth.

    Returns:
        np.ndarray: shape (*B), float64 in 0..1, NaN where undefined.

    Raises:
        TypeError: counts are no integers.
        ValueError: counts are negative, or there is no such policy.

    Example:
        >>> dice([3, 0, 0], [1, 2, 0], [1, 0, 0]).tolist()
        [0.75, 0.0, nan]
    """
    return f_beta(tp, fp, fn, beta=1.0, empty=empty)


def iou(tp: Any, fp: Any, fn: Any, empty: Policy = 'strict') -> np.ndarray:
    """Intersection over union tp / (tp + fp + fn); arguments as for :func:`dice`."""
    tp, fp, fn = _checked(tp, fp, fn)
    return _score(tp, tp + fp + fn, tp, fp, fn, empty)


def f_beta(tp: Any, fp: Any, fn: Any, beta: float = 1.0, empty: Policy = 'strict') -> np.ndarray:
    """F-beta score (1 + b^2) tp / ((1 + b^2) tp + b^2 fn + fp), b > 0; b > 1 favours recall.

    Other arguments as for :func:`dice`.
    """
    if not beta > 0 or math.isinf(beta):
        raise ValueError(f'beta must be a positive number, got {beta}')
    tp, fp, fn = _checked(tp, fp, fn)
    weighted = (1 + beta**2) * tp
    return _score(weighted, weighted + beta**2 * fn + fp, tp, fp, fn, empty)


def precision(tp: Any, fp: Any, fn: Any, empty: Policy = 'strict') -> np.ndarray:
    """Precision (positive predictive value) tp / (tp + fp); arguments as for :func:`dice`."""
    tp, fp, fn = _checked(tp, fp, fn)
    return _score(tp, tp + fp, tp, fp, fn, empty)


def recall(tp: Any, fp: Any, fn: Any, empty: Policy = 'strict') -> np.ndarray:
    """Recall (sensitivity) tp / (tp + fn); arguments as for :func:`dice`."""
    tp, fp, fn = _checked(tp, fp, fn)
    return _score(tp, tp + fn, tp, fp, fn, empty)


def specificity(fp: Any, tn: Any) -> np.ndarray:
    """Specificity tn / (tn + fp), defined whatever masks are empty; NaN where the target fills the grid.

    Args:
        fp (array-like): shape (*B), integers, pixels only in the prediction.
        tn (array-like): shape (*B), pixels in neither.

    Returns:
        np.ndarray: shape (*B), float64 in 0..1.
    """
    fp, tn = _checked(fp, tn, names=('fp', 'tn'))
    return _ratio(tn, tn + fp)


def volume_mm3(count: Any, spacing_mm: Sequence[float]) -> np.ndarray:
    """Volume of a number of voxels; area in mm^2 for two axes.

    Args:
        count (array-like): shape (*B), integers.
        spacing_mm (Sequence[float]): distance between neighbours along each axis of the array.

    Returns:
        np.ndarray: shape (*B), float64.
    """
    (count,) = _checked(count, names=('count',))
    return count * math.prod(checked_spacing(spacing_mm, len(spacing_mm)))


def relative_volume_error(tp: Any, fp: Any, fn: Any) -> np.ndarray:
    """Signed relative volume error (prediction - target) / target, -1 or more; NaN where the target is empty.

    Args:
        tp (array-like): counts as for :func:`dice`; likewise ``fp`` and ``fn``.
        fp (array-like): see ``tp``.
        fn (array-like): see ``tp``.

    Returns:
        np.ndarray: shape (*B), float64.
    """
    tp, fp, fn = _checked(tp, fp, fn)
    return _ratio(fp - fn, tp + fn)


SCORES: dict[str, Callable[..., np.ndarray]] = {'iou': iou, 'dice': dice, 'precision': precision, 'recall': recall}


@dataclass(frozen=True)
class CaseMean:
    """A mean over cases and what stands behind it.

    Attributes:
        mean (float): mean of the defined values, NaN if there is none.
        n_cases (int): all cases.
        n_defined (int): cases in the mean.
        n_valid (int): cases with prediction and target.
        n_missed (int): cases with a target and no prediction.
        n_false_alarm (int): cases with a prediction and no target.
        n_empty (int): cases with neither.
    """

    mean: float
    n_cases: int
    n_defined: int
    n_valid: int
    n_missed: int
    n_false_alarm: int
    n_empty: int

    def to_dict(self) -> dict[str, float | int]:
        """Fields by name."""
        return asdict(self)


def mean_of_defined(values: np.ndarray, axis: int) -> np.ndarray:
    """Mean of the values that are not NaN, along an axis; NaN where there are none."""
    defined = ~np.isnan(values)
    number = defined.sum(axis=axis)
    return np.where(number > 0, np.where(defined, values, 0).sum(axis=axis) / np.maximum(number, 1), np.nan)


def mean_over_cases(values: Any, states: Any) -> CaseMean:
    """Average the defined values of one class over cases and count the states of its masks.

    Args:
        values (array-like): shape (N,), metric of each case, NaN where undefined.
        states (array-like): shape (N,), from :func:`~mmseg_medical.evaluation.functional.empty.states_of`.

    Raises:
        ValueError: the shapes are not one (N,).

    Example:
        >>> tp, fp, fn = [3, 0, 0, 0], [1, 0, 2, 0], [1, 5, 0, 0]
        >>> mean_over_cases(dice(tp, fp, fn), states_of(np.add(tp, fp), np.add(tp, fn)))
        CaseMean(mean=0.25, n_cases=4, n_defined=3, n_valid=1, n_missed=1, n_false_alarm=1, n_empty=1)
    """
    values, states = np.asarray(values, dtype=np.float64), np.asarray(states)
    if values.shape != states.shape or values.ndim != 1:
        raise ValueError(f'values and states must have one shape (N,), got {values.shape} and {states.shape}')
    defined = ~np.isnan(values)
    mean = float(values[defined].mean()) if defined.any() else math.nan
    return CaseMean(mean, values.size, int(defined.sum()), *(int((states == state).sum()) for state in range(4)))


def _checked(*counts: Any, names: Sequence[str] = ('tp', 'fp', 'fn')) -> tuple[np.ndarray, ...]:
    arrays = tuple(np.asarray(c) for c in counts)
    for name, array in zip(names, arrays, strict=True):
        if array.dtype.kind not in 'iu':
            if array.size:
                raise TypeError(f'{name} must hold integers, got {array.dtype}')
        elif array.size and array.min() < 0:
            raise ValueError(f'{name} must not be negative, got {array.min()}')
    shapes = [array.shape for array in arrays]
    if len(set(shapes)) > 1:
        raise ValueError(f'{", ".join(names)} must have one shape, got {shapes}')
    return tuple(array.astype(np.int64) for array in arrays)


def _score(
    numerator: np.ndarray, denominator: np.ndarray, tp: np.ndarray, fp: np.ndarray, fn: np.ndarray, empty: Policy
) -> np.ndarray:
    states = states_of(tp + fp, tp + fn)
    return EmptyPolicy.of(empty).fill(_ratio(numerator, denominator), states, best=1.0, worst=0.0)


def _ratio(numerator: np.ndarray, denominator: np.ndarray) -> np.ndarray:
    return np.divide(numerator, denominator, out=np.full(np.shape(denominator), np.nan), where=denominator > 0)
