"""Does a difference between methods outlive another training?"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from scipy import stats

from mmseg_medical.evaluation.functional.arrays import ArrayLike
from mmseg_medical.evaluation.functional.statistics.holm import holm
from mmseg_medical.evaluation.functional.statistics.values import as_values


@dataclass(frozen=True)
class RunSpread:
    """One number of the runs of a method.

    Attributes:
        mean (float): over the runs; NaN without one.
        std (float): sample standard deviation over the runs; NaN below two, and of infinite values.
        num_runs (int): runs in which the number is defined.
    """

    mean: float
    std: float
    num_runs: int

    @classmethod
    def of(cls, values: np.ndarray) -> RunSpread:
        """Describe values of shape (R,), no NaN."""
        mean = float(values.mean()) if values.size else math.nan
        spread = float(values.std(ddof=1)) if values.size > 1 and math.isfinite(mean) else math.nan
        return cls(mean, spread, values.size)


@dataclass(frozen=True)
class RunComparison:
    """Two methods by their runs.

    Attributes:
        first (str): name of one method.
        second (str): name of the other.
        first_runs (RunSpread): runs of the first.
        second_runs (RunSpread): runs of the second.
        p_value (float): of Welch's test of equal means; NaN where a method has fewer than two runs, or where neither
            has a spread.
        holm (float): the same adjusted for all pairs compared together.
    """

    first: str
    second: str
    first_runs: RunSpread
    second_runs: RunSpread
    p_value: float
    holm: float


def compare_runs(values: Mapping[str, ArrayLike]) -> list[RunComparison]:
    """Compare all pairs of methods by one number of each run, such as its mean over the cases.

    B. L. Welch, The generalization of 'Student's' problem when several different population variances are involved,
    Biometrika 34 (1947) 28-35, doi:10.1093/biomet/34.1-2.28.

    Args:
        values (Mapping[str, np.ndarray | Tensor]): method -> shape (R,), one value a run; R may differ between methods.
            NaN values are left out.

    Returns:
        list[RunComparison]: M (M - 1) / 2 pairs of M methods, in the order given.

    Raises:
        ValueError: values are not one-dimensional.

    Example:
        >>> (pair,) = compare_runs({'A': np.array([0.90, 0.91, 0.92]), 'B': np.array([0.89, 0.91, 0.93])})
        >>> round(pair.first_runs.std, 3), round(pair.p_value, 3)
        (0.01, 1.0)
    """
    rows = {name: as_values(row, name) for name, row in values.items()}
    rows = {name: row[~np.isnan(row)] for name, row in rows.items()}
    spreads = {name: RunSpread.of(row) for name, row in rows.items()}
    pairs = list(combinations(rows, 2))
    p_values = np.array([_welch(rows[first], rows[second]) for first, second in pairs])
    return [
        RunComparison(first, second, spreads[first], spreads[second], float(p_value), float(adjusted))
        for (first, second), p_value, adjusted in zip(pairs, p_values, holm(p_values), strict=True)
    ]


def _welch(first: np.ndarray, second: np.ndarray) -> float:
    finite = np.isfinite(first).all() and np.isfinite(second).all()
    if min(first.size, second.size) < 2 or not finite or np.ptp(first) == np.ptp(second) == 0:
        return math.nan
    return float(stats.ttest_ind(first, second, equal_var=False).pvalue)
