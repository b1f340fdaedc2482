"""Mean, median and spread of per-case values, with the interval of the mean."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mmseg_medical.evaluation.functional.arrays import ArrayLike
from mmseg_medical.evaluation.functional.statistics.bootstrap import bootstrap_interval
from mmseg_medical.evaluation.functional.statistics.values import as_defined_values


@dataclass(frozen=True)
class Description:
    """Summary of per-case values; NaN where undefined.

    Attributes:
        mean (float): arithmetic mean; infinite if values are.
        median (float): middle value, the mean of the middle two for an even number.
        std (float): standard deviation of a sample, n - 1 in the denominator; NaN for n < 2 or infinite values.
        ci_low (float): lower end of the BCa bootstrap interval of the mean; NaN for n < 2 or infinite values.
        ci_high (float): upper end.
        n (int): number of values.
    """

    mean: float
    median: float
    std: float
    ci_low: float
    ci_high: float
    n: int


def describe(values: ArrayLike, confidence: float = 0.95, num_resamples: int = 9999, seed: int = 0) -> Description:
    """Summarise per-case values.

    Args:
        values (np.ndarray | Tensor): shape (N,), one value a case, no NaN; infinities are allowed, those of both signs
            together have no mean.
        confidence (float): of the interval, see :func:`bootstrap_interval`.
        num_resamples (int): of the bootstrap.
        seed (int): of the bootstrap.

    Raises:
        ValueError: as :func:`bootstrap_interval`.
    """
    array = as_defined_values(values, 'values')
    interval = bootstrap_interval(array, 'mean', confidence, num_resamples, seed)
    nan = float('nan')
    if array.size == 0:
        return Description(nan, nan, nan, nan, nan, 0)
    with np.errstate(invalid='ignore'):  # inf - inf is NaN, as documented
        mean, median = float(array.mean()), float(np.median(array))
    spread = array.size > 1 and bool(np.isfinite(array).all())
    std = float(array.std(ddof=1)) if spread else nan
    return Description(mean, median, std, interval.low, interval.high, array.size)
