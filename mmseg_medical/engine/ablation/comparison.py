"""Configs of a group against their baseline: scores over seeds, paired tests, cost."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from mmseg_medical.engine.ablation.plan import Run
from mmseg_medical.engine.ablation.scores import Scores, read_record, read_scores
from mmseg_medical.engine.ablation.state import TEST_FOLDER, State
from mmseg_medical.errors import ConfigError
from mmseg_medical.evaluation.functional.overlap import mean_of_defined
from mmseg_medical.evaluation.functional.statistics import PairComparison, compare_methods, holm
from mmseg_medical.evaluation.table import higher_is_better


@dataclass(frozen=True)
class Row:
    """One config.

    Attributes:
        name (str): of the config.
        config (str): its file.
        seeds (dict[int, float]): seed -> metric of its finished run.
        unfinished (dict[int, str]): seed -> status of the others.
        mean (float): over the seeds, NaN without any.
        std (float): standard deviation of a sample over the seeds, NaN for fewer than two.
        classes (dict[str, float]): class -> metric, mean over seeds.
        cost (dict[str, Any]): see :class:`~mmseg_medical.engine.record_hook.RecordHook`; of several seeds the median
            of the seconds and the largest memory.
        pair (PairComparison | None): this config first, the baseline second, cases averaged over seeds; its ``_holm``
            entries are those of this pair alone.
        wilcoxon_holm (float): p value adjusted for all configs that are tested against the baseline.
        permutation_holm (float): the same of the permutation test.
        note (str): why it is not tested, and what else to know.
    """

    name: str
    config: str
    seeds: dict[int, float] = field(default_factory=dict)
    unfinished: dict[int, str] = field(default_factory=dict)
    mean: float = math.nan
    std: float = math.nan
    classes: dict[str, float] = field(default_factory=dict)
    cost: dict[str, Any] = field(default_factory=dict)
    pair: PairComparison | None = None
    wilcoxon_holm: float = math.nan
    permutation_holm: float = math.nan
    note: str = ''


@dataclass(frozen=True)
class Ablation:
    """A group in numbers.

    Attributes:
        baseline (str): config that the others are tested against.
        metric (str): what is compared.
        higher (bool): whether larger values are better.
        rows (list[Row]): the best first, those without a finished run last.
        by_case (bool): whether the metric is measured by case, and so tested.
        conventions (dict[str, str]): what the metric means, as the baseline's tests say.
        notes (list[str]): what to know when reading costs.
        num_cases (int): of the baseline.
    """

    baseline: str
    metric: str
    higher: bool
    rows: list[Row]
    by_case: bool
    conventions: dict[str, str]
    notes: list[str]
    num_cases: int


def compare_runs(
    runs: Sequence[Run],
    states: Sequence[State],
    baseline: str,
    metric: str = 'dice',
    classes: Sequence[str] | None = None,
    seed: int = 0,
) -> Ablation:
    """Compare the configs of finished runs.

    Args:
        runs (Sequence[Run]): all of the group.
        states (Sequence[State]): theirs.
        baseline (str): name of a config.
        metric (str): see :func:`~mmseg_medical.engine.ablation.scores.read_scores`.
        classes (Sequence[str] | None): see there.
        seed (int): of bootstrap and permutations.

    Raises:
        ConfigError: the metric has no better side or is not measured, or a file of a test is damaged.
    """
    higher = higher_is_better(metric.partition('.')[0])
    if higher is None:
        raise ConfigError(f'--metric {metric}: neither larger nor smaller is better, so it cannot be compared')
    finished = [(run, state) for run, state in zip(runs, states, strict=True) if state.status == 'finished']
    scores: dict[str, dict[int, Scores]] = {run.name: {} for run in runs}
    costs: dict[str, list[dict[str, Any]]] = {run.name: [] for run in runs}
    for run, _ in finished:
        folder = run.folder / TEST_FOLDER
        scores[run.name][run.seed] = read_scores(folder, metric, classes)
        costs[run.name].append(read_record(folder)['cost'])
    tested = _tests(scores, baseline, higher, seed)
    rows = []
    for name, of_seeds in scores.items():
        numbers = {k: score.number for k, score in of_seeds.items()}
        own = [(run, state) for run, state in zip(runs, states, strict=True) if run.name == name]
        rows.append(
            Row(
                name,
                str(own[0][0].config),
                numbers,
                {run.seed: state.status for run, state in own if run.seed not in numbers},
                *_mean_and_std(list(numbers.values())),
                _over_seeds([score.classes for score in of_seeds.values()]),
                _cost(costs[name]),
                **tested[name],
            )
        )
    worst = -math.inf if higher else math.inf
    rows.sort(key=lambda row: (row.mean if not math.isnan(row.mean) else worst) * (-1 if higher else 1))
    rows.sort(key=lambda row: not row.seeds)
    reference = next(iter(scores[baseline].values()), Scores(math.nan))
    by_case = any(score.cases for of_seeds in scores.values() for score in of_seeds.values())
    return Ablation(
        baseline, metric, higher, rows, by_case, reference.conventions, _notes(finished, rows), len(reference.cases)
    )


def _tests(scores: Mapping[str, Mapping[int, Scores]], baseline: str, higher: bool, seed: int) -> dict[str, dict]:
    """Pair, adjusted p values and note of each config."""
    reference = list(scores[baseline].values())
    result: dict[str, dict[str, Any]] = {}
    for name, of_seeds in scores.items():
        reason = _untested(list(of_seeds.values()), reference)
        result[name] = {'note': '' if name == baseline else reason}
        if name == baseline or reason:
            continue
        ours, theirs = (_over_seeds([score.cases for score in those]) for those in (of_seeds.values(), reference))
        values = {name: np.array([ours[case] for case in theirs]), baseline: np.array(list(theirs.values()))}
        (result[name]['pair'],) = compare_methods(values, higher, seed)
        if set(of_seeds) != set(scores[baseline]):
            result[name]['note'] = 'not all seeds that the baseline has, or more'
    pairs = {name: entry['pair'] for name, entry in result.items() if 'pair' in entry}
    for test in ('wilcoxon', 'permutation'):
        adjusted = holm(np.array([getattr(pair, test).p_value for pair in pairs.values()]))
        for name, value in zip(pairs, adjusted, strict=True):
            result[name][f'{test}_holm'] = float(value)
    return result


def _untested(scores: Sequence[Scores], reference: Sequence[Scores]) -> str:
    """Why a config cannot be tested against the baseline, or nothing."""
    if not scores:
        return 'no finished run'
    if not reference:
        return 'not tested: the baseline has no finished run'
    first = reference[0]
    if not first.cases:
        return 'not tested: a logged number has no cases'
    for score in (*reference, *scores):
        if score.conventions != first.conventions:
            return 'not tested: measured by other conventions than the baseline'
        if set(score.cases) != set(first.cases):
            differing = sorted(set(score.cases) ^ set(first.cases))
            return f'not tested: other cases than the baseline, as {differing[0]}'
    return ''


def _over_seeds(values: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Means of what has a value, key by key; keys of the first."""
    if not values:
        return {}
    keys = list(values[0])
    table = np.array([[of_seed.get(key, math.nan) for key in keys] for of_seed in values], np.float64)
    return dict(zip(keys, mean_of_defined(table, axis=0).tolist(), strict=True))


def _mean_and_std(numbers: Sequence[float]) -> tuple[float, float]:
    finite = len(numbers) > 1 and all(map(math.isfinite, numbers))
    mean = float(np.mean(numbers)) if numbers else math.nan
    return mean, statistics.stdev(numbers) if finite else math.nan


def _cost(costs: Sequence[dict[str, Any]]) -> dict[str, Any]:
    if not costs:
        return {}
    seconds = [cost['seconds_per_image'] for cost in costs if cost['seconds_per_image'] is not None]
    return {
        **costs[0],
        'seconds_per_image': statistics.median(seconds) if seconds else None,
        'peak_memory_bytes': max(cost['peak_memory_bytes'] for cost in costs),
    }


def _notes(finished: Sequence[tuple[Run, State]], rows: Sequence[Row]) -> list[str]:
    notes = []
    crowded = max((state.running for _, state in finished), default=1)
    if crowded > 1:
        notes.append(f'seconds per image: up to {crowded} runs shared the machine when they were measured')
    devices = sorted({str(row.cost['device']) for row in rows if row.cost})
    if len(devices) > 1:
        notes.append(f'seconds and memory are of different devices: {", ".join(devices)}')
    for row in rows:
        if row.note:
            notes.append(f'{row.name}: {row.note}')
        if row.cost.get('macs_error'):
            notes.append(f'{row.name}: MACs not counted, {row.cost["macs_error"]}')
    return notes
