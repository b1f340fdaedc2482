"""What the trainings of one trial measured."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from mmseg_medical.engine.ablation.plan import Run
from mmseg_medical.engine.ablation.scores import read_record
from mmseg_medical.engine.ablation.state import TEST_FOLDER
from mmseg_medical.engine.record_hook import RECORD_FILE
from mmseg_medical.engine.validation_log_hook import VALIDATION_FILE, read_validations
from mmseg_medical.errors import ConfigError, did_you_mean

# in grid units or millimetres, whichever the data set has
_NSD = ('nsd@2mm', 'nsd@2px')


class WrongMetricError(ConfigError):
    """What is measured has no such number, in no trial."""


def number_of(metrics: Mapping[str, Any], metric: str, where: str) -> float:
    """One logged number, NaN where it is undefined.

    Args:
        metrics (Mapping): name -> number, None or ``'inf'``.
        metric (str): name.
        where (str): what logged them, for the message.

    Raises:
        WrongMetricError: there is no such name.
    """
    if metric not in metrics:
        overall = [name for name in metrics if '.' not in name]
        raise WrongMetricError(
            f'--metric {metric}: {where} has no such number, it has {", ".join(overall) or "none"}.'
            + did_you_mean(metric, metrics)
        )
    value = metrics[metric]
    return math.nan if value is None else float(value)


def curve(run: Run, metric: str) -> list[tuple[int, float]]:
    """(step, value) pairs of a training's validations; undefined values are left out.

    Raises:
        WrongMetricError: the validations do not log the metric.
    """
    pairs = [
        (step, number_of(metrics, metric, 'the validation'))
        for step, metrics in read_validations(run.folder / VALIDATION_FILE)
    ]
    return [(step, value) for step, value in pairs if math.isfinite(value)]


def objective_value(run: Run, metric: str, objective: str, higher: bool) -> float:
    """What a training is judged by, NaN if it measured nothing.

    Raises:
        WrongMetricError: the metric is not measured.
    """
    if objective == 'test':
        return number_of(read_record(run.folder / TEST_FOLDER)['metrics'], metric, 'the test')
    values = [value for _, value in curve(run, metric)]
    return (max if higher else min)(values) if values else math.nan


def measure(run: Run, metric: str, higher: bool) -> dict[str, float]:
    """Numbers of a trained and tested network.

    ``best_<metric>`` is over the validations; ``final_dice_<class>``, ``mean_dice``, ``final_nsd_<class>`` and
    ``mean_nsd`` (at 2 mm) are of the last validation, which is not that of the best; ``test_<name>`` are of the
    checkpoint that was tested. What is not measured is absent.
    """
    validations = read_validations(run.folder / VALIDATION_FILE)
    found: dict[str, float] = {}
    if validations and metric in validations[-1][1]:
        found[f'best_{metric}'] = objective_value(run, metric, 'val', higher)
    for name, value in (validations[-1][1] if validations else {}).items():
        what, _, of_class = name.partition('.')
        short = 'nsd' if what in _NSD else what
        if short in ('dice', 'nsd') and value is not None:
            found[f'final_{short}_{of_class.lower()}' if of_class else f'mean_{short}'] = float(value)
    if (run.folder / TEST_FOLDER / RECORD_FILE).is_file():
        record = read_record(run.folder / TEST_FOLDER)
        logged = record['metrics'].items()
        found |= {f'test_{name}': float(value) for name, value in logged if '.' not in name and value is not None}
        found['num_params'] = record['cost']['parameters']
    return {name: value for name, value in found.items() if math.isfinite(value)}


def over_seeds(measured: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Means of what all seeds have."""
    common = [name for name in measured[0] if all(name in one for one in measured)] if measured else []
    means = {name: statistics.fmean(one[name] for one in measured) for name in common}
    return {name: round(value) if name == 'num_params' else value for name, value in means.items()}
