"""Where the trials of a sweep are kept, shared by all processes that work on it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmseg_medical.errors import ConfigError
from mmseg_medical.optional import import_optional

JOURNAL = 'sweep.journal'
_IDENTITY = 'sweep'
_MOST_CHANGES = 5


@dataclass(frozen=True)
class StudyStore:
    """A study of Optuna and its storage.

    Attributes:
        name (str): of the study.
        storage (Any): Optuna's.
        study (Any): for reading and telling.
    """

    name: str
    storage: Any
    study: Any

    def trials(self) -> list[Any]:
        """All trials, in the order of their numbers."""
        return self.study.get_trials(deepcopy=False)

    def trial_id(self, number: int) -> int:
        """What the storage calls a trial."""
        study_id = self.storage.get_study_id_from_name(self.name)
        return self.storage.get_trial_id_from_study_id_trial_number(study_id, number)


def import_optuna() -> Any:
    """Import Optuna, which then reports errors alone: what happens to a trial is said here.

    Raises:
        ImportError: it is not installed.
    """
    optuna = import_optional('optuna', 'sweeps')
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    return optuna


def open_storage(url: str | None, work_dir: Path) -> Any:
    """Open or begin a storage.

    Args:
        url (str | None): of a data base (``sqlite:///sweep.db``, ``mysql://``, ``postgresql://``), ``redis://``, or
            the path of a journal file; None: ``sweep.journal`` in ``work_dir``.
        work_dir (Path): folder of the sweep.

    Raises:
        ConfigError: it cannot be reached.
    """
    optuna = import_optuna()
    shown = _without_password(url or str(work_dir / JOURNAL))
    try:
        if url is None or '://' not in url:
            path = Path(url or work_dir / JOURNAL)
            path.parent.mkdir(parents=True, exist_ok=True)
            backend = optuna.storages.journal.JournalFileBackend(str(path))
            return optuna.storages.JournalStorage(backend)
        if url.startswith('redis'):
            backend = optuna.storages.journal.JournalRedisBackend(url)
            return optuna.storages.JournalStorage(backend)
        return optuna.storages.get_storage(url)
    except Exception as error:  # of any driver of a data base
        raise ConfigError(f'--storage {shown} cannot be reached: {_reason(error)}') from error


def open_study(storage: Any, name: str, direction: str, identity: Mapping[str, str], shown: str) -> StudyStore:
    """Begin a study, or take up the one of this name.

    Args:
        storage (Any): see :func:`open_storage`.
        name (str): of the study.
        direction (str): ``'maximize'`` or ``'minimize'``.
        identity (Mapping[str, str]): what must not change while it goes on.
        shown (str): work dir, for messages.

    Raises:
        ConfigError: the study was begun with another identity, or the storage holds something else.
    """
    optuna = import_optuna()
    sampler = optuna.samplers.RandomSampler(seed=0)  # never asked: each trial has its own, see samplers.py
    try:
        study = optuna.create_study(
            study_name=name, storage=storage, sampler=sampler, direction=direction, load_if_exists=True
        )
    except Exception as error:  # of any driver, or of a file that is no journal
        raise ConfigError(f'the storage of the sweep {name!r} cannot be used: {_reason(error)}') from error
    before = study.user_attrs.get(_IDENTITY)
    if before is None:
        study.set_user_attr(_IDENTITY, dict(identity))
    elif before != dict(identity):
        keys = [key for key in {**before, **identity} if before.get(key) != identity.get(key)]
        lines = [f'{key} was {before.get(key, "absent")}, is {identity.get(key, "absent")}' for key in keys]
        more = [f'and {len(lines) - _MOST_CHANGES} more'] if len(lines) > _MOST_CHANGES else []
        raise ConfigError(
            f'the sweep {name!r} in {shown} was begun otherwise: {"; ".join([*lines[:_MOST_CHANGES], *more])}. Undo '
            'the change, or begin another sweep: --work-dir, or --study in the same storage'
        )
    return StudyStore(name, storage, study)


def _without_password(url: str) -> str:
    return re.sub(r'(://[^:/@]*):[^@]*@', r'\1:***@', url)


def _reason(error: Exception) -> str:
    lines = [line for line in str(error).splitlines() if line.strip()]
    text = lines[0] if lines else ''
    missing = isinstance(error, ModuleNotFoundError) or 'pip install' in text
    return f'{type(error).__name__}: {text}' + (' (the driver of this data base is not installed)' if missing else '')
