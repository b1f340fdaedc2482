"""Which of several methods is best, case by case."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from mmseg_medical.evaluation.functional.arrays import ArrayLike
from mmseg_medical.evaluation.functional.statistics.methods import checked_methods


@dataclass(frozen=True)
class RankTable:
    """Ranks of M methods on N cases.

    Attributes:
        methods (tuple[str, ...]): their names, in the order given.
        ranks (np.ndarray): shape (M, N), 1 is best, tied methods share the mean of their ranks; NaN in the columns of
            the cases left out.
        mean_rank (np.ndarray): shape (M,), over the cases ranked; NaN if there are none.
        wins (np.ndarray): shape (M,), int64, cases in which the method is better than every other one.
        num_cases (int): cases ranked.
        num_ties (int): cases ranked that nobody wins, since the best score is shared.
        num_left_out (int): cases left out since a method has no value there.
    """

    methods: tuple[str, ...]
    ranks: np.ndarray = field(repr=False)
    mean_rank: np.ndarray
    wins: np.ndarray
    num_cases: int
    num_ties: int
    num_left_out: int


def rank_table(values: Mapping[str, ArrayLike], higher_is_better: bool = True) -> RankTable:
    """Rank methods within each case on which all of them have a value.

    Args:
        values (Mapping[str, np.ndarray | Tensor]): method -> shape (N,), the same cases in the same order; NaN where
            undefined, infinities are ranked.
        higher_is_better (bool): True for scores such as Dice, False for distances.

    Raises:
        ValueError: there are fewer than two methods, or their lengths differ.
    """
    methods, scores = checked_methods(values)
    defined = ~np.isnan(scores).any(axis=0)
    better = scores > scores[:, None] if higher_is_better else scores < scores[:, None]
    # a method equals itself, so that one without equals has the rank 1 + better
    ranks = better.sum(axis=1) + ((scores == scores[:, None]).sum(axis=1) + 1) / 2
    ranks[:, ~defined] = np.nan
    wins = (ranks == 1).sum(axis=1)
    num_cases = int(defined.sum())
    return RankTable(
        methods=methods,
        ranks=ranks,
        mean_rank=ranks[:, defined].mean(axis=1) if num_cases else np.full(len(methods), np.nan),
        wins=wins,
        num_cases=num_cases,
        num_ties=num_cases - int(wins.sum()),
        num_left_out=defined.size - num_cases,
    )
