"""Two-sided tests of two methods on the same cases: ranks of the differences, and their mean."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy.special import ndtr

from mmseg_medical.evaluation.functional.arrays import ArrayLike
from mmseg_medical.evaluation.functional.statistics.values import paired_differences

#: pairs up to which the null distribution of the ranks is counted out, in milliseconds
_EXACT_PAIRS = 200
#: signs drawn at a time, 8 MiB
_CHUNK = 1 << 20


@dataclass(frozen=True)
class TestResult:
    """Outcome of a paired test of a against b.

    Attributes:
        statistic (float): see the test; NaN without pairs.
        p_value (float): two-sided; NaN without pairs.
        n (int): number of pairs.
        num_zero (int): pairs without a difference.
        mean_difference (float): mean of a - b.
        median_difference (float): median of a - b.
        exact (bool): whether the null distribution was counted out rather than approximated or drawn.
    """

    __test__ = False  # not a test case, whatever pytest makes of the name

    statistic: float
    p_value: float
    n: int
    num_zero: int
    mean_difference: float
    median_difference: float
    exact: bool


def paired_wilcoxon(a: ArrayLike, b: ArrayLike, zero_method: str = 'pratt') -> TestResult:
    """Wilcoxon's signed-rank test: are the differences a - b symmetric about zero?

    The null distribution is counted out for up to 200 differences, tied ones included; beyond, the normal
    approximation with the variance of the tied ranks is used, without continuity correction. The smallest p value
    of n non-zero differences is 2^(1 - n): fewer than six never get below 0.05. Only the order of the differences
    matters, so that infinite ones are allowed.

    F. Wilcoxon, Individual comparisons by ranking methods, Biometrics Bulletin 1 (1945) 80-83, doi:10.2307/3001968;
    J. W. Pratt, Remarks on zeros and ties, J. Am. Stat. Assoc. 54 (1959) 655-667, doi:10.1080/01621459.1959.10501526.

    Args:
        a (np.ndarray | Tensor): shape (N,), one value a case, no NaN.
        b (np.ndarray | Tensor): shape (N,), those of the same cases in the same order.
        zero_method (str): 'pratt' ranks the pairs without a difference among the others, then drops their ranks;
            'wilcox' drops them before.

    Returns:
        TestResult: ``statistic`` is the smaller of the rank sums of positive and of negative differences. Differences
        that are all zero have p = 1.

    Raises:
        ValueError: lengths differ, a value is NaN, ``zero_method`` is unknown.
    """
    if zero_method not in ('pratt', 'wilcox'):
        raise ValueError(f"zero_method must be 'pratt' or 'wilcox', got {zero_method!r}")
    differences = paired_differences(a, b)
    if differences.size == 0:
        return _result(differences, math.nan, math.nan, exact=True)
    ranked = differences if zero_method == 'pratt' else differences[differences != 0]
    positive = ranked[ranked != 0] > 0
    ranks = _twice_the_ranks(np.abs(ranked))[ranked != 0]
    smaller = int(min(ranks[positive].sum(), ranks[~positive].sum()))
    exact = ranks.size <= _EXACT_PAIRS
    p_value = min(1.0, 2 * (_sum_at_most(ranks, smaller) if exact else _normal_at_most(ranks, smaller)))
    return _result(differences, smaller / 2, p_value, exact)


def _twice_the_ranks(values: np.ndarray) -> np.ndarray:
    """Ranks from 1, ties share their mean, which is a multiple of one half: twice a rank is an integer."""
    _, group, sizes = np.unique(values, return_inverse=True, return_counts=True)
    return (2 * np.cumsum(sizes) - sizes + 1)[group]


def _sum_at_most(ranks: np.ndarray, limit: int) -> float:
    """Probability that the ranks whose sign is positive sum up to ``limit`` or less, each sign by a fair coin."""
    chance = np.zeros(limit + 1)
    chance[0] = 1.0
    for rank in ranks:
        chance /= 2
        chance[rank:] += chance[: max(limit + 1 - rank, 0)].copy()
    return float(chance.sum())


def _normal_at_most(ranks: np.ndarray, limit: int) -> float:
    mean, variance = ranks.sum() / 2, (ranks.astype(np.float64) ** 2).sum() / 4
    return float(ndtr((limit - mean) / math.sqrt(variance)))


def paired_permutation(a: ArrayLike, b: ArrayLike, num_permutations: int = 9999, seed: int = 0) -> TestResult:
    """Permutation test of the mean difference: how often is it as large if a and b are swapped at random in each case?

    If all 2^n ways to swap are at most ``num_permutations``, they are counted out. Otherwise that many are drawn and
    p = (k + 1) / (num_permutations + 1) for k draws with an absolute mean at least as large as the observed one (ties
    up to rounding included): never zero, and never too small on average (B. Phipson, G. K. Smyth, Permutation P-values
    should never be zero, Stat. Appl. Genet. Mol. Biol. 9 (2010) 39, doi:10.2202/1544-6115.1585).

    Args:
        a (np.ndarray | Tensor): shape (N,), one value a case, no NaN.
        b (np.ndarray | Tensor): shape (N,), those of the same cases in the same order.
        num_permutations (int): most permutations to look at; the smallest p value is about its inverse.
        seed (int): same seed, same numbers.

    Returns:
        TestResult: ``statistic`` is the mean difference. p is 1 if all differences are zero, and NaN if one is
        infinite, since the mean then is no finite number.

    Raises:
        ValueError: lengths differ, a value is NaN, ``num_permutations`` is below 1.
    """
    if num_permutations < 1:
        raise ValueError(f'num_permutations must be at least 1, got {num_permutations}')
    differences = paired_differences(a, b)
    size = differences.size
    if size == 0 or not np.isfinite(differences).all():
        return _result(differences, _mean(differences), math.nan, exact=size == 0)
    exact = size < num_permutations.bit_length()  # 2^size <= num_permutations
    rng = np.random.default_rng(seed)
    total = 1 << size if exact else num_permutations
    observed = abs(differences.sum()) - 1e-12 * np.abs(differences).sum()
    hits, step = 0, max(1, _CHUNK // size)
    for start in range(0, total, step):
        rows = np.arange(start, min(start + step, total))
        swap = (rows[:, None] >> np.arange(size)) & 1 if exact else rng.integers(0, 2, (rows.size, size))
        hits += int((np.abs((1 - 2 * swap) @ differences) >= observed).sum())
    p_value = hits / total if exact else (hits + 1) / (total + 1)
    return _result(differences, _mean(differences), p_value, exact)


def _mean(differences: np.ndarray) -> float:
    with np.errstate(invalid='ignore'):  # infinities of both signs have no mean
        return float(differences.mean()) if differences.size else math.nan


def _median(differences: np.ndarray) -> float:
    with np.errstate(invalid='ignore'):
        return float(np.median(differences)) if differences.size else math.nan


def _result(differences: np.ndarray, statistic: float, p_value: float, exact: bool) -> TestResult:
    return TestResult(
        statistic=statistic,
        p_value=p_value,
        n=differences.size,
        num_zero=int((differences == 0).sum()),
        mean_difference=_mean(differences),
        median_difference=_median(differences),
        exact=exact,
    )
