"""What a sweep has found, from its storage alone."""

from __future__ import annotations

import json
import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mmseg_medical.engine.sweep.plan import Sweep
from mmseg_medical.engine.sweep.slots import DIED, counting
from mmseg_medical.engine.sweep.storage import StudyStore, import_optuna
from mmseg_medical.engine.sweep.trial import ERROR, FOLDER, METRICS, SEEDS, TITLE
from mmseg_medical.evaluation.json_files import json_ready
from mmseg_medical.files import atomic_write

RESULTS_FILE = 'results.json'
TRIAL_FILE = 'result.json'


@dataclass(frozen=True)
class TrialResult:
    """One trial.

    Attributes:
        number (int): in the storage.
        status (str): 'finished', 'given up', 'failed', 'running' or 'waiting'.
        title (str): its name.
        values (dict[str, Any]): parameter -> value.
        value (float): mean over the seeds, NaN unless finished.
        seeds (dict[str, float]): seed -> value.
        test_seeds (dict[str, float]): seed -> the metric of the test.
        metrics (dict[str, float]): see :func:`~mmseg_medical.engine.sweep.measured.measure`, means over the seeds.
        curve (dict[int, float]): step -> value of the validations of the first seed.
        folder (str): of its trainings.
        error (str): why it failed, with the last lines of the log.
        seconds (float): from its begin to its end.
        finished (str): date and time.
    """

    number: int
    status: str
    title: str = ''
    values: dict[str, Any] = field(default_factory=dict)
    value: float = math.nan
    seeds: dict[str, float] = field(default_factory=dict)
    test_seeds: dict[str, float] = field(default_factory=dict)
    metrics: dict[str, float] = field(default_factory=dict)
    curve: dict[int, float] = field(default_factory=dict)
    folder: str = ''
    error: str = ''
    seconds: float = math.nan
    finished: str = ''

    @property
    def std(self) -> float:
        """Standard deviation of a sample over the seeds, NaN for fewer than two."""
        return spread(list(self.seeds.values()))


def read_results(sweep: Sweep, store: StudyStore) -> list[TrialResult]:
    """All trials of a sweep: the finished, the best first, then the others by number."""
    results = [_result(sweep, trial) for trial in counting(store.trials())]
    sign = -1 if sweep.higher else 1
    return sorted(results, key=lambda one: (one.status != 'finished', sign * one.value if one.seeds else one.number))


def importances(store: StudyStore) -> dict[str, float]:
    """Share of each parameter in what tells the best trials from all, adding up to 1; empty where it cannot be told.

    PED-ANOVA (Watanabe et al., 2023, https://arxiv.org/abs/2304.10255), over the finished trials.
    """
    optuna = import_optuna()
    states = optuna.trial.TrialState
    finished = store.study.get_trials(deepcopy=False, states=(states.COMPLETE,))
    varied = [
        name
        for name in (finished[0].params if finished else ())
        if len({repr(trial.params.get(name)) for trial in finished}) > 1
    ]
    if len(finished) < 4 or len(varied) < 2 or len({trial.value for trial in finished}) < 2:
        return {}
    evaluator = optuna.importance.PedAnovaImportanceEvaluator()
    found = optuna.importance.get_param_importances(store.study, evaluator=evaluator, params=varied)
    return {name: float(value) for name, value in found.items()}


def entry(result: TrialResult) -> dict[str, Any]:
    """A finished trial in the form of the original's grid searches."""
    return json_ready(
        {
            'config': result.values,
            'config_str': result.title,
            'metrics': result.metrics,
            'timestamp': result.finished,
        }
    )


def write_results(sweep: Sweep, results: Sequence[TrialResult]) -> list[Path]:
    """Write ``results.json``, the list of all finished trials, and ``result.json`` in the folder of each.

    Returns:
        list[Path]: ``results.json``, then the others.
    """
    finished = [result for result in results if result.status == 'finished']
    files: list[tuple[Path, Any]] = [(sweep.work_dir / RESULTS_FILE, [entry(result) for result in finished])]
    # trials of other machines have their folders there
    files += [(Path(result.folder, TRIAL_FILE), entry(result)) for result in finished if Path(result.folder).is_dir()]
    for path, content in files:
        with atomic_write(path) as file:
            json.dump(content, file, indent=2, allow_nan=False)
            file.write('\n')
    return [path for path, _ in files]


def spread(numbers: Sequence[float]) -> float:
    """Standard deviation of a sample, NaN for fewer than two numbers."""
    finite = len(numbers) > 1 and all(map(math.isfinite, numbers))
    return statistics.stdev(numbers) if finite else math.nan


def _result(sweep: Sweep, trial: Any) -> TrialResult:
    attrs = trial.user_attrs
    labels = {**trial.system_attrs.get('fixed_params', {}), **trial.params}
    known = {name: parameter for name, parameter in sweep.space.parameters.items() if name in labels}
    ended = trial.datetime_complete
    took = (ended - trial.datetime_start).total_seconds() if ended and trial.datetime_start else math.nan
    return TrialResult(
        trial.number,
        status_of(trial),
        attrs.get(TITLE) or (sweep.space.title(labels) if len(known) == len(sweep.space.parameters) else ''),
        {name: labels[name] if getattr(p, 'choices', False) else p.value(labels[name]) for name, p in known.items()},
        # that of a trial that was given up is its last validation
        trial.value if status_of(trial) == 'finished' else math.nan,
        attrs.get(SEEDS, {}),
        {seed: math.nan if value is None else value for seed, value in attrs.get('test_seeds', {}).items()},
        attrs.get(METRICS, {}),
        dict(sorted(trial.intermediate_values.items())),
        attrs.get(FOLDER, ''),
        attrs.get(ERROR, '') or attrs.get(DIED, ''),
        took,
        ended.isoformat(timespec='seconds') if ended else '',
    )


def status_of(trial: Any) -> str:
    """What has become of a trial of Optuna, see :class:`TrialResult`."""
    names = {'COMPLETE': 'finished', 'PRUNED': 'given up', 'FAIL': 'failed'}
    return names.get(trial.state.name, trial.state.name.lower())
