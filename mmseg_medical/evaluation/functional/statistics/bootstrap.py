"""Confidence intervals by resampling cases: bias-corrected and accelerated bootstrap (BCa).

B. Efron, Better bootstrap confidence intervals, J. Am. Stat. Assoc. 82 (1987) 171-185,
doi:10.1080/01621459.1987.10478410.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.special import ndtr, ndtri

from mmseg_medical.evaluation.functional.arrays import ArrayLike
from mmseg_medical.evaluation.functional.statistics.values import as_defined_values

#: values drawn at a time, 8 MiB
_CHUNK = 1 << 20
#: relative difference of numbers that differ by the order of summation only
_ROUNDING = 1e-12


@dataclass(frozen=True)
class Interval:
    """A confidence interval, ends included; NaN where it is undefined."""

    low: float
    high: float


def _sample_std(values: np.ndarray) -> np.ndarray:
    return values.std(axis=-1, ddof=1)


def _mean(values: np.ndarray) -> np.ndarray:
    return values.mean(axis=-1)


def _median(values: np.ndarray) -> np.ndarray:
    return np.median(values, axis=-1)


_STATISTICS: dict[str, Callable[[np.ndarray], np.ndarray]] = {'mean': _mean, 'median': _median, 'std': _sample_std}


def bootstrap_interval(
    values: ArrayLike,
    statistic: str = 'mean',
    confidence: float = 0.95,
    num_resamples: int = 9999,
    seed: int = 0,
) -> Interval:
    """Confidence interval of a statistic of the population that the cases were drawn from.

    Cases are the unit that is resampled: values of one patient belong into one case. The interval of few cases (fewer
    than about 10) is too narrow, as that of any bootstrap.

    Args:
        values (np.ndarray | Tensor): shape (N,), one value a case, no NaN.
        statistic (str): 'mean', 'median', or 'std' (of a sample, N - 1 in the denominator).
        confidence (float): share of such intervals that are to hold the true value, between 0 and 1.
        num_resamples (int): how often the cases are drawn anew.
        seed (int): same seed, same numbers.

    Returns:
        Interval: undefined (NaN) for fewer than two cases, which say nothing of their spread, and for infinite values;
        of zero width if all values are equal.

    Raises:
        ValueError: a value is NaN, the statistic is unknown, ``confidence`` or ``num_resamples`` is out of range.

    Example:
        >>> interval = bootstrap_interval(np.array([0.7, 0.8, 0.8, 0.9, 0.6, 0.9, 0.9, 0.7]))
        >>> bool(0.6 < interval.low < 0.7875 < interval.high < 0.9)
        True
    """
    array = as_defined_values(values, 'values')
    if statistic not in _STATISTICS:
        raise ValueError(f'statistic must be one of {", ".join(_STATISTICS)}, got {statistic!r}')
    if not 0 < confidence < 1:
        raise ValueError(f'confidence must lie between 0 and 1, got {confidence}; 95 % is 0.95')
    if num_resamples < 1:
        raise ValueError(f'num_resamples must be at least 1, got {num_resamples}')
    if array.size < 2 or not np.isfinite(array).all():
        return Interval(np.nan, np.nan)
    function = _STATISTICS[statistic]
    estimate = float(function(array))
    if (array == array[0]).all():
        # by definition, since the rounded mean of equal values may differ from them
        value = 0.0 if statistic == 'std' else float(array[0])
        return Interval(value, value)
    resampled = _resample(array, function, num_resamples, seed)
    low, high = np.quantile(resampled, _levels(resampled, estimate, _acceleration(array, function), confidence))
    return Interval(float(low), float(high))


def _resample(
    values: np.ndarray, function: Callable[[np.ndarray], np.ndarray], num_resamples: int, seed: int
) -> np.ndarray:
    rng = np.random.default_rng(seed)
    result = np.empty(num_resamples)
    step = max(1, _CHUNK // values.size)
    for start in range(0, num_resamples, step):
        rows = min(step, num_resamples - start)
        result[start : start + rows] = function(values[rng.integers(0, values.size, (rows, values.size))])
    return result


def _acceleration(values: np.ndarray, function: Callable[[np.ndarray], np.ndarray]) -> float:
    """Skewness of the influence of single cases, by the jackknife.

    B. Efron, R. J. Tibshirani, An Introduction to the Bootstrap (1993), equation 14.15.
    """
    size = values.size
    if size == 2:
        return 0.0  # two cases are symmetric; one alone has no standard deviation
    keep = np.arange(size - 1)
    left_out = np.array([function(values[keep + (keep >= i)]) for i in range(size)])
    if np.ptp(left_out) <= _ROUNDING * np.abs(left_out).max():
        return 0.0  # the median of many ties does not move when a case is left out: no skewness to correct
    influence = left_out.mean() - left_out
    return float((influence**3).sum() / (6 * (influence**2).sum() ** 1.5))


def _levels(resampled: np.ndarray, estimate: float, acceleration: float, confidence: float) -> np.ndarray:
    """Quantiles of the resampled statistics at which the interval ends."""
    # resamples that hold the same cases in another order differ by rounding only and are ties, which count half
    slack = _ROUNDING * float(np.abs(resampled).max())
    below = float((resampled < estimate - slack).mean() + (resampled <= estimate + slack).mean()) / 2
    edge = 0.5 / resampled.size
    bias = ndtri(min(max(below, edge), 1 - edge))
    normal = bias + ndtri(np.array([1 - confidence, 1 + confidence]) / 2)
    return ndtr(bias + normal / (1 - acceleration * normal))
