"""Several methods on the same cases: paired differences, tests, ranks."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from mmseg_medical.evaluation.functional.statistics import (
    PairComparison,
    RankTable,
    RunComparison,
    compare_methods,
    compare_runs,
    rank_table,
)
from mmseg_medical.evaluation.runs import average_runs, run_means
from mmseg_medical.evaluation.table import CaseTable, higher_is_better

_MOST_NAMES = 10


@dataclass(frozen=True)
class Comparison:
    """Methods on the same cases, classes and metrics.

    Attributes:
        tables (dict[str, CaseTable]): method -> its cases, the same in the same order for all; the average of its runs.
        seed (int): of bootstrap and permutations.
        pairs (dict): class -> metric -> all pairs of methods, in their order; metrics without direction (volumes and
            their errors) have none.
        ranks (dict): class -> metric -> ranks, of the same metrics.
        runs (dict): class -> metric -> all pairs of methods by their runs; empty if every method has one.
    """

    tables: dict[str, CaseTable]
    seed: int
    pairs: dict[str, dict[str, list[PairComparison]]] = field(repr=False)
    ranks: dict[str, dict[str, RankTable]] = field(repr=False)
    runs: dict[str, dict[str, list[RunComparison]]] = field(repr=False)

    @property
    def methods(self) -> tuple[str, ...]:
        """Names of the methods."""
        return tuple(self.tables)

    @property
    def table(self) -> CaseTable:
        """That of the first method, for what all have in common."""
        return next(iter(self.tables.values()))

    @property
    def metrics(self) -> tuple[str, ...]:
        """Metrics that are compared: those with a better side."""
        return compared_metrics(self.table)

    def differences(self, class_name: str, metric: str, pair: PairComparison) -> np.ndarray:
        """Values of the first method of a pair minus those of the second: shape (N,), NaN where one is undefined."""
        first, second = (self.tables[name].column(class_name, metric) for name in (pair.first, pair.second))
        equal = first == second  # two infinite distances are equal
        return np.subtract(first, second, out=np.zeros_like(first), where=~equal)

    def conventions(self) -> dict[str, str]:
        """What the numbers of the comparison mean, in words; those of the metrics are the table's."""
        num_pairs = len(self.tables) * (len(self.tables) - 1) // 2
        families = len(self.table.classes) * len(self.metrics)
        words = {
            'differences': 'first method minus second, case by case; a case is left out of a pair if a value of one '
            'of the two is undefined (num_left_out), so that a false alarm of one method does not count where the '
            'other is rightly empty, unless empty masks are worth a value (the policy perfect)',
            'interval': '95 % bias-corrected and accelerated bootstrap interval of the mean difference, not adjusted '
            'for the number of comparisons',
            'tests': "paired and two-sided: Wilcoxon's signed-rank test (on most cases), permutation test of the mean "
            'difference (on average); choose one before looking',
            'holm': f'adjusted p values hold for the {num_pairs} pairs of methods of one class and one metric; there '
            f'are {families} such families ({len(self.table.classes)} classes x {len(self.metrics)} metrics) for each '
            'test, and no correction over them',
            'ranks': '1 is best, within each case in which every method has a value; equal values share the mean '
            'rank; a win is a case in which one method is better than all others',
            'seed': str(self.seed),
        }
        if self.runs:
            words['runs'] = (
                'the value of a case is the mean over the runs of a method in which it is defined, its state the worst '
                'of them; the intervals and paired tests tell cases apart, not trainings. The spread over runs is the '
                "sample standard deviation of their means over the cases; Welch's test compares these means, adjusted "
                'by Holm'
            )
        return words


def compared_metrics(table: CaseTable) -> tuple[str, ...]:
    """Metrics of a table that have a better side."""
    return tuple(metric for metric in table.metrics if higher_is_better(metric) is not None)


def named_places(words: Sequence[str]) -> dict[str, list[str]]:
    """Read methods and where their runs lie from words such as ``ours=predictions``; a name given again is another run.

    Raises:
        ValueError: a word has no name, no place or no equals sign, a place is given twice, or there are fewer than two
            methods.

    Example:
        >>> named_places(['ours=seed_0', 'ours=seed_1', 'theirs=other/predictions'])
        {'ours': ['seed_0', 'seed_1'], 'theirs': ['other/predictions']}
    """
    places: dict[str, list[str]] = {}
    for word in words:
        name, _, place = word.partition('=')
        if not name or not place:
            raise ValueError(f'{word!r} is not of the form NAME=PLACE, such as ours=predictions')
        if place in places.setdefault(name, []):
            raise ValueError(f'the method {name!r} has one run twice: {place}')
        places[name].append(place)
    if len(places) < 2:
        raise ValueError(f'a comparison needs two methods or more, got {len(places)}: {", ".join(places) or "none"}')
    return places


def compare_tables(tables: Mapping[str, CaseTable | Sequence[CaseTable]], seed: int = 0) -> Comparison:
    """Compare methods, case by case.

    Args:
        tables (Mapping[str, CaseTable | Sequence[CaseTable]]): method -> its cases, or those of each of its runs, all
            against the same targets; their order may differ.
        seed (int): of bootstrap and permutations.

    Returns:
        Comparison: cases in the order of the first method.

    Raises:
        ValueError: there are fewer than two methods, or they differ in cases, classes, metrics or conventions.
    """
    if len(tables) < 2:
        raise ValueError(f'a comparison needs two methods or more, got {len(tables)}: {", ".join(tables) or "none"}')
    runs = {name: [of] if isinstance(of, CaseTable) else list(of) for name, of in tables.items()}
    _check_comparable({run_name(name, n, len(of)): table for name, of in runs.items() for n, table in enumerate(of)})
    first = next(iter(runs.values()))[0]
    runs = {name: [table.select(first.case_ids) for table in of] for name, of in runs.items()}
    same = {name: average_runs(of) for name, of in runs.items()}
    repeated = any(len(of) > 1 for of in runs.values())
    pairs: dict[str, dict[str, list[PairComparison]]] = {}
    ranks: dict[str, dict[str, RankTable]] = {}
    of_runs: dict[str, dict[str, list[RunComparison]]] = {}
    for class_name in first.classes:
        pairs[class_name], ranks[class_name] = {}, {}
        for metric in compared_metrics(first):
            values = {name: table.column(class_name, metric) for name, table in same.items()}
            higher = bool(higher_is_better(metric))
            pairs[class_name][metric] = compare_methods(values, higher, seed)
            ranks[class_name][metric] = rank_table(values, higher)
            if repeated:
                means = {name: run_means(of, class_name, metric) for name, of in runs.items()}
                of_runs.setdefault(class_name, {})[metric] = compare_runs(means)
    return Comparison(same, seed, pairs, ranks, of_runs)


def run_name(method: str, number: int, num_runs: int) -> str:
    """What messages call a run: its method, with the number from 1 where there are several."""
    return method if num_runs == 1 else f'{method}, run {number + 1}'


def _check_comparable(tables: Mapping[str, CaseTable]) -> None:
    _check_same_cases(tables)
    first_name, first = next(iter(tables.items()))
    for name, table in tables.items():
        for what in ('classes', 'metrics'):
            ours, theirs = getattr(first, what), getattr(table, what)
            if ours != theirs:
                raise ValueError(
                    f'the methods differ in their {what}: {first_name} has {", ".join(ours)}, '
                    f'{name} has {", ".join(theirs)}'
                )
        for key in first.conventions.keys() | table.conventions.keys():
            if first.conventions.get(key) != table.conventions.get(key):
                raise ValueError(
                    f'the methods were measured by different conventions: {key!r} is '
                    f'{first.conventions.get(key)!r} for {first_name} and {table.conventions.get(key)!r} for {name}'
                )


def common_cases(tables: Mapping[str, Sequence[CaseTable]]) -> dict[str, list[CaseTable]]:
    """Leave out the cases that some run of a method lacks, as those whose files could not be read.

    Raises:
        ValueError: no case is left.
    """
    shared = set.intersection(*(set(table.case_ids) for runs in tables.values() for table in runs))
    if not shared:
        raise ValueError(f'no case could be evaluated for every one of {", ".join(tables)}')
    return {
        name: [table.select([case for case in table.case_ids if case in shared]) for table in runs]
        for name, runs in tables.items()
    }


def _check_same_cases(tables: Mapping[str, CaseTable]) -> None:
    lines = []
    for (a, first), (b, second) in itertools.permutations(tables.items(), 2):
        lacking = [case for case in first.case_ids if case not in set(second.case_ids)]
        if lacking:
            more = f' and {len(lacking) - _MOST_NAMES} more' if len(lacking) > _MOST_NAMES else ''
            lines.append(f'{b} lacks {", ".join(lacking[:_MOST_NAMES])}{more}, which {a} has')
    if lines:
        raise ValueError(f'all methods must have the same cases: {"; ".join(lines)}')
