"""Overlap scores from counts, with an explicit rule for empty masks.

What a score is when a mask is empty (``tp + fp`` is the size of the prediction, ``tp + fn`` of the target):

=============  ==================  ===========================================  ==================================
state          prediction, target  Dice, IoU, F-beta                            precision, recall
=============  ==================  ===========================================  ==================================
``valid``      neither is empty    formula                                      formula
``missed``     prediction empty    0                                            recall 0; precision by ``one_sided``
``false_alarm``  target empty      0                                            precision 0; recall by ``one_sided``
``empty``      both are empty      by ``both_empty``                            by ``both_empty``
=============  ==================  ===========================================  ==================================

``both_empty``: ``'undefined'`` (default, NaN: the case says nothing about the class), ``'one'`` or ``'zero'``.
``one_sided``: ``'zero'`` (default: a missed structure never improves a mean) or ``'undefined'`` (NaN, what a NaN-mean
over 0/0 does elsewhere). Means are made by :func:`mean_over_cases`, which counts every state beside the mean.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np

BothEmpty = Literal['undefined', 'one', 'zero']
OneSided = Literal['zero', 'undefined']

_VALUE_OF = {'undefined': math.nan, 'one': 1.0, 'zero': 0.0}


def dice(tp: Any, fp: Any, fn: Any, both_empty: BothEmpty = 'undefined') -> np.ndarray:
    """Dice score 2 tp / (2 tp + fp + fn).

    Args:
        tp (array-like): shape (*B), pixels in prediction and target.
        fp (array-like): shape (*B), pixels only in the prediction.
        fn (array-like): shape (*B), pixels only in the target.
        both_empty (str): value where prediction and target are empty, see the module's table.

    Returns:
        np.ndarray: shape (*B), float64 in 0..1, NaN where undefined.

    Example:
        >>> dice([3, 0, 0], [1, 2, 0], [1, 0, 0]).tolist()
        [0.75, 0.0, nan]
    """
    return f_beta(tp, fp, fn, beta=1.0, both_empty=both_empty)


def iou(tp: Any, fp: Any, fn: Any, both_empty: BothEmpty = 'undefined') -> np.ndarray:
    """Intersection over union tp / (tp + fp + fn); arguments as for :func:`dice`."""
    tp, fp, fn = _checked(tp, fp, fn)
    return _ratio(tp, tp + fp + fn, _value('both_empty', both_empty))


def f_beta(tp: Any, fp: Any, fn: Any, beta: float = 1.0, both_empty: BothEmpty = 'undefined') -> np.ndarray:
    """F-beta score (1 + b^2) tp / ((1 + b^2) tp + b^2 fn + fp), b > 0; b > 1 favours recall.

    Other arguments as for :func:`dice`.
    """
    if not beta > 0 or math.isinf(beta):
        raise ValueError(f'beta must be a positive number, got {beta}')
    tp, fp, fn = _checked(tp, fp, fn)
    weighted = (1 + beta**2) * tp
    return _ratio(weighted, weighted + beta**2 * fn + fp, _value('both_empty', both_empty))


def precision(
    tp: Any, fp: Any, fn: Any, both_empty: BothEmpty = 'undefined', one_sided: OneSided = 'zero'
) -> np.ndarray:
    """Precision tp / (tp + fp); arguments as for :func:`dice`.

    ``one_sided`` decides where the prediction alone is empty.
    """
    tp, fp, fn = _checked(tp, fp, fn)
    undefined = np.where(fn > 0, _one_sided(one_sided), _value('both_empty', both_empty))
    return _ratio(tp, tp + fp, undefined)


def recall(tp: Any, fp: Any, fn: Any, both_empty: BothEmpty = 'undefined', one_sided: OneSided = 'zero') -> np.ndarray:
    """Recall tp / (tp + fn); arguments as for :func:`dice`. ``one_sided`` decides where the target alone is empty."""
    tp, fp, fn = _checked(tp, fp, fn)
    undefined = np.where(fp > 0, _one_sided(one_sided), _value('both_empty', both_empty))
    return _ratio(tp, tp + fn, undefined)


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


def mean_over_cases(values: Any, tp: Any, fp: Any, fn: Any) -> CaseMean:
    """Average the defined scores of one class over cases and count the states of its masks.

    Args:
        values (array-like): shape (N,), score of each case, NaN where undefined.
        tp (array-like): shape (N,), counts the score was made from; likewise ``fp`` and ``fn``.
        fp (array-like): see ``tp``.
        fn (array-like): see ``tp``.

    Example:
        >>> tp, fp, fn = [3, 0, 0, 0], [1, 0, 2, 0], [1, 5, 0, 0]
        >>> mean_over_cases(dice(tp, fp, fn), tp, fp, fn)
        CaseMean(mean=0.25, n_cases=4, n_defined=3, n_valid=1, n_missed=1, n_false_alarm=1, n_empty=1)
    """
    values = np.asarray(values, dtype=np.float64)
    tp, fp, fn = _checked(tp, fp, fn)
    if values.shape != tp.shape or values.ndim != 1:
        raise ValueError(f'values and counts must have one shape (N,), got {values.shape} and {tp.shape}')
    defined = ~np.isnan(values)
    has_pred, has_target = tp + fp > 0, tp + fn > 0
    return CaseMean(
        mean=float(values[defined].mean()) if defined.any() else math.nan,
        n_cases=values.size,
        n_defined=int(defined.sum()),
        n_valid=int((has_pred & has_target).sum()),
        n_missed=int((~has_pred & has_target).sum()),
        n_false_alarm=int((has_pred & ~has_target).sum()),
        n_empty=int((~has_pred & ~has_target).sum()),
    )


def _checked(*counts: Any) -> tuple[np.ndarray, ...]:
    arrays = tuple(np.asarray(c) for c in counts)
    for name, array in zip(('tp', 'fp', 'fn'), arrays, strict=True):
        if array.dtype.kind not in 'iu':
            if array.size:
                raise TypeError(f'{name} must hold integers, got {array.dtype}')
        elif array.size and array.min() < 0:
            raise ValueError(f'{name} must not be negative, got {array.min()}')
    shapes = [a.shape for a in arrays]
    if len(set(shapes)) > 1:
        raise ValueError(f'tp, fp and fn must have one shape, got {shapes}')
    return tuple(a.astype(np.int64, copy=False) for a in arrays)


def _value(name: str, policy: str) -> float:
    if policy not in _VALUE_OF:
        raise ValueError(f'{name} must be one of {", ".join(map(repr, _VALUE_OF))}, got {policy!r}')
    return _VALUE_OF[policy]


def _one_sided(policy: str) -> float:
    if policy == 'one':
        raise ValueError("one_sided must be 'zero' or 'undefined', got 'one'")
    return _value('one_sided', policy)


def _ratio(numerator: np.ndarray, denominator: np.ndarray, undefined: float | np.ndarray) -> np.ndarray:
    empty = denominator == 0
    return np.where(empty, undefined, numerator / np.where(empty, 1, denominator))
