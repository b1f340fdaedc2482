"""One trial: values chosen, a training and a test for each seed, the result told to the storage."""

from __future__ import annotations

import math
import statistics
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from mmseg_medical.engine.ablation.children import BusyError, Ended, Stopped, locked
from mmseg_medical.engine.ablation.execution import Executor
from mmseg_medical.engine.ablation.plan import Run
from mmseg_medical.engine.ablation.state import read_state
from mmseg_medical.engine.sweep.measured import WrongMetricError, curve, measure, objective_value, over_seeds
from mmseg_medical.engine.sweep.owner import BEAT
from mmseg_medical.engine.sweep.plan import Sweep
from mmseg_medical.engine.sweep.samplers import make_pruner, make_sampler
from mmseg_medical.engine.sweep.slots import Slots
from mmseg_medical.engine.sweep.space import Labels
from mmseg_medical.engine.sweep.storage import StudyStore, import_optuna
from mmseg_medical.errors import ConfigError
from mmseg_medical.evaluation.json_files import json_ready

# attributes of a trial
TITLE = 'title'
FOLDER = 'folder'
ERROR = 'error'
METRICS = 'metrics'
SEEDS = 'seeds'


@dataclass
class TrialRunner:
    """Run trials of a sweep.

    Attributes:
        sweep (Sweep): the sweep.
        slots (Slots): whose trials these are.
        executor (Executor): runs trainings and tests.
        places (int): trials side by side.
    """

    sweep: Sweep
    slots: Slots
    executor: Executor
    places: int = 1
    _waiting: threading.Event = field(default_factory=threading.Event)

    @property
    def store(self) -> StudyStore:
        """Where trials are kept."""
        return self.slots.store

    def run(self, number: int, gpu: str | None) -> str:
        """Run a trial that was claimed.

        Args:
            number (int): of the trial.
            gpu (str | None): its place.

        Returns:
            str: what became of it, for the user.

        Raises:
            WrongMetricError: no trial measures the metric.
            Stopped: the processes are being ended; the trial is begun again by the next call.
        """
        try:
            return self._run(number, gpu)
        except BaseException as error:
            reason = 'interrupted' if isinstance(error, (Stopped, KeyboardInterrupt)) else f'{error}'
            self.slots.release(number, reason)
            raise

    def _run(self, number: int, gpu: str | None) -> str:
        trial = self._begin(number)
        labels = {name: parameter.suggest(trial) for name, parameter in self.sweep.space.parameters.items()}
        if not self.sweep.space.is_allowed(labels):
            self.slots.drop(number, 'not allowed')
            return ''
        title = self.sweep.space.title(labels)
        trial.set_user_attr(TITLE, title)
        states = import_optuna().trial.TrialState
        started = time.monotonic()
        try:
            value = self._value(trial, labels, gpu)
        except Ended:
            self.store.study.tell(number, state=states.PRUNED)
            return f'trial {number} ({title}): given up'
        except WrongMetricError:
            raise
        except (ConfigError, OSError, ArithmeticError) as error:
            trial.set_user_attr(ERROR, str(error))
            self.store.study.tell(number, state=states.FAIL)
            return f'trial {number} ({title}): FAILED, {str(error).splitlines()[0]}'
        self.store.study.tell(number, value)
        minutes = (time.monotonic() - started) / 60
        return f'trial {number} ({title}): {self.sweep.metric} {value:.4f}, {minutes:.1f} minutes'

    def _begin(self, number: int) -> Any:
        optuna = import_optuna()
        study = optuna.load_study(
            study_name=self.store.name,
            storage=self.store.storage,
            sampler=make_sampler(self.sweep.sampler, self.sweep.sampler_seed, number, self.places > 1),
            pruner=make_pruner(self.sweep.pruner, *self.sweep.steps()),
        )
        return optuna.trial.Trial(study, self.store.trial_id(number))

    def _value(self, trial: Any, labels: Labels, gpu: str | None) -> float:
        """Value of a trial, the mean over its seeds.

        Raises:
            Ended: it was given up.
            ConfigError: a training or a test fails.
        """
        values, measured = {}, []
        runs = self.sweep.runs(labels)
        trial.set_user_attr(FOLDER, str(runs[0].folder.parent))
        for run in runs:
            watch = _Watch(trial, run, self.sweep, run is runs[0], lambda: self.slots.beat(trial.number))
            error = self._train_and_test(run, gpu, watch)
            if error is not None:
                raise ConfigError(f'seed {run.seed}: {error}')
            watch.report()
            value = objective_value(run, self.sweep.metric, self.sweep.objective, self.sweep.higher)
            if not math.isfinite(value):
                raise ArithmeticError(f'seed {run.seed}: {self.sweep.metric} is never a finite number')
            values[str(run.seed)] = value
            measured.append(measure(run, self.sweep.metric, self.sweep.higher))
        trial.set_user_attr(SEEDS, values)
        trial.set_user_attr(METRICS, json_ready(over_seeds(measured)))
        if len(values) > 1:
            tested = [one.get(f'test_{self.sweep.metric}', math.nan) for one in measured]
            trial.set_user_attr('test_seeds', json_ready(dict(zip(values, tested, strict=True))))
        return statistics.fmean(values.values())

    def _train_and_test(self, run: Run, gpu: str | None, watch: _Watch) -> str | None:
        """Do what is left of a run; where another trial drew the same values, wait for it and take its result."""
        while True:
            try:
                return self.executor.run_here(run, gpu, self.places, watch)
            except BusyError:
                if self.executor.children.stopped:
                    raise Stopped from None
                watch.beat()
                self._waiting.wait(self.executor.children.interval)


@dataclass
class _Watch:
    """Follow a training: report its validations, and say when it is to be given up."""

    trial: Any
    run: Run
    sweep: Sweep
    first_seed: bool
    alive: Callable[[], None]
    reported: set[int] = field(default_factory=set)
    last_beat: float = field(default_factory=time.monotonic)

    def __call__(self) -> bool:
        self.beat()
        # a training that has just ended is worth its test
        return self.report() and read_state(self.run).status == 'training'

    def report(self) -> bool:
        """Report new validations of the first seed; whether one of them is a reason to give up."""
        if self.sweep.objective == 'test' and self.sweep.pruner == 'none':
            return False
        points = [point for point in curve(self.run, self.sweep.metric) if point[0] not in self.reported]
        self.reported |= {step for step, _ in points}
        hopeless = False
        for step, value in points if self.first_seed else ():
            self.trial.report(value, step)
            # asked for each, since hyperband notes there how far a trial came
            hopeless |= self.sweep.pruner != 'none' and self.trial.should_prune()
        return hopeless

    def beat(self) -> None:
        """Tell other processes that this one lives."""
        if time.monotonic() - self.last_beat > BEAT:
            self.last_beat = time.monotonic()
            self.alive()


def is_busy(run: Run) -> bool:
    """Whether a process is at work in the folder of a run."""
    if not run.folder.is_dir():
        return False
    try:
        with locked(run.folder):
            return False
    except BusyError:
        return True
