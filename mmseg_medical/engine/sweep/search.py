"""Trials one after the other or side by side, until none is left."""

from __future__ import annotations

import queue
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager, suppress
from typing import NamedTuple

from mmseg_medical.engine.ablation.children import Stopped, interruptible, locked
from mmseg_medical.engine.ablation.execution import Executor
from mmseg_medical.engine.sweep.plan import Sweep
from mmseg_medical.engine.sweep.slots import Slots
from mmseg_medical.engine.sweep.space import Labels
from mmseg_medical.engine.sweep.storage import StudyStore, import_optuna
from mmseg_medical.engine.sweep.trial import TrialRunner, is_busy
from mmseg_medical.errors import ConfigError

# refused in a row by allowed()
_MOST_REFUSED = 1000


def make_slots(sweep: Sweep, store: StudyStore) -> Slots:
    """Trials of a sweep in its storage."""

    def busy(labels: Labels) -> bool:
        return any(is_busy(run) for run in sweep.runs(labels))

    return Slots(store, sweep.grid, sweep.total, tuple(sweep.space.parameters), busy)


def search(sweep: Sweep, slots: Slots, executor: Executor, retry_failed: bool = False) -> None:
    """Run all trials that are left.

    Args:
        sweep (Sweep): the sweep.
        slots (Slots): its trials.
        executor (Executor): runs trainings and tests, and says what happens.
        retry_failed (bool): begin failed trials again.

    Raises:
        ConfigError: no trial can succeed, or the storage was lost.
        KeyboardInterrupt: of Ctrl-C, SIGTERM or the end of the terminal; all processes have ended then, and the next
            call goes on.
    """
    renew(sweep, slots, retry_failed)
    places: queue.SimpleQueue[str | None] = queue.SimpleQueue()
    gpus = executor.places(sweep.total)
    for gpu in gpus:
        places.put(gpu)
    runner = TrialRunner(sweep, slots, executor, len(gpus))
    with interruptible(), storage_errors(), ThreadPoolExecutor(len(gpus)) as pool:
        futures = [pool.submit(_work, runner, places) for _ in gpus]
        try:
            for future in as_completed(futures):
                future.result()
        except BaseException:
            executor.say('Ending the trials; the same call goes on with them')
            executor.children.stop()
            raise


def _work(runner: TrialRunner, places: queue.SimpleQueue[str | None]) -> None:
    """Take one trial after the other."""
    gpu = places.get()
    with suppress(Stopped):
        while (done := run_next(runner, gpu)) is not None:
            runner.executor.say(done.said)


class Done(NamedTuple):
    """A trial that has been run.

    Attributes:
        number (int): of the trial.
        said (str): what became of it, for the user.
    """

    number: int
    said: str


def run_next(runner: TrialRunner, gpu: str | None) -> Done | None:
    """Run the next trial that waits.

    Args:
        runner (TrialRunner): runs it.
        gpu (str | None): its place.

    Returns:
        Done | None: None if no trial waits.

    Raises:
        ConfigError: no drawn combination is allowed, or no trial can succeed.
        Stopped: the processes are being ended.
    """
    for _ in range(_MOST_REFUSED):
        if runner.executor.children.stopped:
            raise Stopped
        while (number := runner.slots.claim()) is None:
            if not renew(runner.sweep, runner.slots):
                return None
        if said := runner.run(number, gpu):
            return Done(number, said)
    raise ConfigError(
        f'{runner.sweep.space.path}: allowed() let none of {_MOST_REFUSED} drawn combinations pass; make the ranges '
        'narrower'
    )


def renew(sweep: Sweep, slots: Slots, retry_failed: bool = False) -> int:
    """Let trials wait for those that are missing, were refused or whose process has died; the number that waits now.

    Raises:
        ConfigError: the storage was lost.
    """
    with storage_errors(), locked(sweep.work_dir / 'trials', wait=True):
        slots.reap()
        slots.fill(retry_failed)
        states = import_optuna().trial.TrialState
        return len(slots.store.study.get_trials(deepcopy=False, states=(states.WAITING,)))


@contextmanager
def storage_errors() -> Iterator[None]:
    """Word the loss of a storage for the user.

    Raises:
        ConfigError: it was lost inside.
    """
    optuna = import_optuna()
    try:
        yield
    except optuna.exceptions.StorageInternalError as error:
        raise ConfigError(f'the storage of the sweep was lost: {error}; the same call goes on') from error
