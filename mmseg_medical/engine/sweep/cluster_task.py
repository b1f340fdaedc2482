"""What a node of a cluster needs to take part in a sweep, and the trial that it runs."""

from __future__ import annotations

import os
import secrets
import socket
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from mmseg_medical.engine.ablation.children import Children, Stopped, locked
from mmseg_medical.engine.ablation.commands import Commands
from mmseg_medical.engine.ablation.execution import Executor
from mmseg_medical.engine.sweep.plan import TRAIN_OPTIONS, Sweep
from mmseg_medical.engine.sweep.results import status_of
from mmseg_medical.engine.sweep.search import make_slots, run_next, storage_errors
from mmseg_medical.engine.sweep.slots import Slots
from mmseg_medical.engine.sweep.space import read_space
from mmseg_medical.engine.sweep.storage import JOURNAL, StudyStore, import_optuna, open_storage, open_study
from mmseg_medical.engine.sweep.trial import TrialRunner
from mmseg_medical.errors import ConfigError
from mmseg_medical.files import atomic_write

MARK_FILE = 'sweep.mark'
_MARK = 'mark'
# seconds; Ray kills what has not ended ten seconds after it was asked to
_STEP = 2.0
_GRACE = 5.0


@dataclass(frozen=True)
class Task:
    """What is sent to a node: paths and plain values, since the functions of a space cannot travel.

    Attributes:
        cwd (Path): working folder of the sweep; relative paths in configs begin there.
        settings (dict[str, Any]): of :class:`~mmseg_medical.engine.sweep.plan.Sweep`, without the space.
        space (Path): its file.
        storage (str | None): see :func:`~mmseg_medical.engine.sweep.storage.open_storage`.
        study (str): name in the storage.
        mark (str): see :func:`leave_mark`.
        tools (Path): folder of train.py and test.py.
        threads (int): of a trial.
        places (int): trials side by side.
    """

    cwd: Path
    settings: Mapping[str, Any]
    space: Path
    storage: str | None
    study: str
    mark: str
    tools: Path
    threads: int = 1
    places: int = 1

    @property
    def journal(self) -> Path | None:
        """File of the storage, None for that of a server."""
        if self.storage is not None and '://' in self.storage:
            return None
        return self.cwd / (self.storage or self.settings['work_dir'] / JOURNAL)


def make_task(
    sweep: Sweep, store: StudyStore, storage: str | None, tools: Path, threads: int = 1, places: int = 1
) -> Task:
    """Put together what a node needs, and leave the mark that it looks for."""
    settings = {item.name: getattr(sweep, item.name) for item in fields(sweep) if item.name != 'space'}
    settings |= {'config': sweep.config.absolute(), 'work_dir': sweep.work_dir.absolute()}
    mark, space = leave_mark(store, sweep.work_dir), sweep.space.path.absolute()
    return Task(Path.cwd(), settings, space, storage, store.name, mark, tools.absolute(), threads, places)


def leave_mark(store: StudyStore, work_dir: Path) -> str:
    """Write down in storage and work dir what tells them from others of the same name on another machine."""
    with locked(work_dir / 'trials', wait=True):
        mark = store.study.user_attrs.get(_MARK) or secrets.token_hex(8)
        store.study.set_user_attr(_MARK, mark)
        with atomic_write(work_dir / MARK_FILE) as file:
            file.write(mark)
    return mark


def join(task: Task) -> tuple[Sweep, Slots]:
    """Open a sweep on a node; its working folder becomes that of this process.

    Raises:
        ConfigError: the node sees other files or another storage than the machine where the sweep was begun.
    """
    node = f'node {socket.gethostname()} cannot take part'
    mark_file = task.settings['work_dir'] / MARK_FILE
    for path in (task.cwd, task.tools / 'train.py', task.settings['config'], task.space, mark_file, task.journal):
        if path is not None and not path.exists():
            raise ConfigError(
                f'{node}: it does not see {path}. Config, space, tools, work dir and journal must be on a file system '
                'that all nodes share'
            )
    if mark_file.read_text(encoding='utf-8') != task.mark:
        raise ConfigError(f'{node}: its {mark_file.parent} is another one. The work dir must be shared by all nodes')
    os.chdir(task.cwd)
    sweep = Sweep(space=read_space(task.space), **task.settings)
    storage = open_storage(task.storage, sweep.work_dir)
    known = task.study in import_optuna().get_all_study_names(storage)
    direction = 'maximize' if sweep.higher else 'minimize'
    if known:
        store = open_study(storage, task.study, direction, sweep.identity(), str(sweep.work_dir))
    if not known or store.study.user_attrs.get(_MARK) != task.mark:
        raise ConfigError(f'{node}: what it finds at the address of --storage is another one; name its host')
    return sweep, make_slots(sweep, store)


def try_to_join(task: Task) -> str | None:
    """Why a node cannot take part, None if it can."""
    try:
        join(task)
    except (ConfigError, ImportError, OSError) as error:
        return str(error)
    return None


def run_trial(task: Task, children: Children) -> dict[str, Any]:
    """Run the next trial that waits.

    Args:
        task (Task): the sweep.
        children (Children): its processes; the trial is released where they are stopped.

    Returns:
        dict: numbers for Ray's table, the metric under its name; ``said``: what became of it, for the user;
            ``fatal``: why no trial can succeed. Empty if none waits.
    """
    try:
        sweep, slots = join(task)
        commands = Commands(task.tools, train_options=TRAIN_OPTIONS)
        executor = Executor(commands, threads=task.threads, say=_say, children=children)
        with storage_errors():
            done = run_next(TrialRunner(sweep, slots, executor, task.places), None)
            if done is None:
                return {}
            trial = slots.store.trials()[done.number]
    except Stopped:
        return {}
    except (ConfigError, ImportError, OSError) as error:
        return {'fatal': str(error)}
    value = {sweep.metric: trial.value} if status_of(trial) == 'finished' else {}
    return {'trial': done.number, 'outcome': status_of(trial), **value, 'said': done.said}


def _say(line: str) -> None:
    print(line, flush=True)  # noqa: T201 - Ray brings it to the user


@dataclass
class Worker:
    """A trial in a thread of its own, so that its process can be asked how it stands, and be told to end.

    Attributes:
        task (Task): the sweep.
        children (Children): processes of the trial.
    """

    task: Task
    children: Children = field(default_factory=lambda: Children(_GRACE))
    _pool: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(1))
    _trial: Future = field(init=False)

    def __post_init__(self) -> None:
        self._trial = self._pool.submit(run_trial, self.task, self.children)

    def step(self) -> dict[str, Any]:
        """Wait a while; what :func:`run_trial` returns, once it has, and whether it is ``done``."""
        wait([self._trial], _STEP)
        done = self._trial.done()
        return {**(self._trial.result() if done else {}), 'done': done}

    def end(self) -> None:
        """End the trial, which waits again then."""
        self.children.stop()
        self._pool.shutdown()
