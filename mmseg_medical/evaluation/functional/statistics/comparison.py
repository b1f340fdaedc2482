"""Every method against every other one on the same cases."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from mmseg_medical.evaluation.functional.arrays import ArrayLike
from mmseg_medical.evaluation.functional.statistics.bootstrap import Interval, bootstrap_interval
from mmseg_medical.evaluation.functional.statistics.holm import holm
from mmseg_medical.evaluation.functional.statistics.methods import checked_methods
from mmseg_medical.evaluation.functional.statistics.paired import TestResult, paired_permutation, paired_wilcoxon
from mmseg_medical.evaluation.functional.statistics.values import paired_differences


@dataclass(frozen=True)
class PairComparison:
    """Two methods on the cases where both have a value.

    Attributes:
        first (str): name of one method.
        second (str): name of the other.
        better (str | None): the one with the better mean over these cases, significant or not; None if the means are
            equal or undefined, or if the metric has no better side.
        mean_difference (float): mean of first - second, in the metric's unit; NaN without pairs.
        interval (Interval): BCa bootstrap interval of the mean difference.
        wilcoxon (TestResult): signed-rank test, p value not adjusted.
        permutation (TestResult): permutation test of the mean difference, p value not adjusted.
        wilcoxon_holm (float): p value of ``wilcoxon`` adjusted for all pairs compared together (Holm).
        permutation_holm (float): the same of ``permutation``.
        num_pairs (int): cases compared.
        num_left_out (int): cases left out since one of the two, or both, have no value.
    """

    first: str
    second: str
    better: str | None
    mean_difference: float
    interval: Interval
    wilcoxon: TestResult
    permutation: TestResult
    wilcoxon_holm: float
    permutation_holm: float
    num_pairs: int
    num_left_out: int


def compare_methods(
    values: Mapping[str, ArrayLike],
    higher_is_better: bool | None,
    seed: int = 0,
    confidence: float = 0.95,
    num_resamples: int = 9999,
    num_permutations: int = 9999,
) -> list[PairComparison]:
    """Compare all pairs of methods on one metric.

    The p values of one test over all pairs are one family for Holm's correction; the two tests are two families, of
    which a report states one, chosen before looking. Raw p values and intervals of a pair do not depend on which
    other methods are compared.

    Args:
        values (Mapping[str, np.ndarray | Tensor]): method -> shape (N,), one value a case, the same cases in the same
            order; NaN where undefined. A case is left out of a pair in which one of the two is NaN, and counted.
        higher_is_better (bool | None): True for scores such as Dice, False for distances, None where neither holds,
            as for volumes: then no method is better.
        seed (int): of bootstrap and permutations.
        confidence (float): of the interval of the mean difference, not adjusted for the number of pairs.
        num_resamples (int): of the bootstrap.
        num_permutations (int): of the permutation test.

    Returns:
        list[PairComparison]: M (M - 1) / 2 pairs of M methods, in the order given: (A, B), (A, C), (B, C).

    Raises:
        ValueError: there are fewer than two methods, or their lengths differ; or an option is out of range, see
            :func:`bootstrap_interval` and :func:`paired_permutation`.

    Example:
        >>> dice = {'A': np.array([0.8, 0.9, np.nan, 0.7]), 'B': np.array([0.7, 0.8, 0.9, 0.5])}
        >>> (pair,) = compare_methods(dice, higher_is_better=True)
        >>> pair.better, pair.num_pairs, pair.num_left_out, round(pair.wilcoxon.p_value, 4)
        ('A', 3, 1, 0.25)
    """
    methods, scores = checked_methods(values)
    pairs = list(combinations(range(len(methods)), 2))
    defined = [~np.isnan(scores[[i, j]]).any(axis=0) for i, j in pairs]
    chosen = [(scores[i, keep], scores[j, keep]) for (i, j), keep in zip(pairs, defined, strict=True)]
    wilcoxon = [paired_wilcoxon(a, b) for a, b in chosen]
    permutation = [paired_permutation(a, b, num_permutations, seed) for a, b in chosen]
    intervals = [
        bootstrap_interval(paired_differences(a, b), 'mean', confidence, num_resamples, seed) for a, b in chosen
    ]
    wilcoxon_holm = holm(np.array([test.p_value for test in wilcoxon]))
    permutation_holm = holm(np.array([test.p_value for test in permutation]))
    return [
        PairComparison(
            first=methods[i],
            second=methods[j],
            better=_better(methods[i], methods[j], permutation[k].mean_difference, higher_is_better),
            mean_difference=permutation[k].mean_difference,
            interval=intervals[k],
            wilcoxon=wilcoxon[k],
            permutation=permutation[k],
            wilcoxon_holm=float(wilcoxon_holm[k]),
            permutation_holm=float(permutation_holm[k]),
            num_pairs=int(defined[k].sum()),
            num_left_out=int((~defined[k]).sum()),
        )
        for k, (i, j) in enumerate(pairs)
    ]


def _better(first: str, second: str, difference: float, higher_is_better: bool | None) -> str | None:
    if higher_is_better is None or np.isnan(difference) or difference == 0:
        return None
    return first if (difference > 0) == higher_is_better else second
