"""How far a run has come, written so that it can be taken up again."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from mmseg_medical.engine.ablation.plan import Run
from mmseg_medical.engine.record_hook import RECORD_FILE
from mmseg_medical.errors import ConfigError
from mmseg_medical.evaluation.json_files import file_head
from mmseg_medical.files import atomic_write

FORMAT = 'mmseg_medical.run/1'
STATE_FILE = 'run.json'
TEST_FOLDER = 'test'
_MOST_CHANGES = 5


@dataclass(frozen=True)
class State:
    """What is known of a run.

    Attributes:
        status (str): 'waiting', 'training', 'testing', 'finished' or 'failed'.
        trained (bool): whether the training came to its end.
        checkpoint (str | None): what was tested.
        error (str | None): why it failed, with the last lines of the log.
        running (int): how many runs the machine did at once when this one was tested.
        settings (dict[str, str]): resolved config of the run.
    """

    status: str = 'waiting'
    trained: bool = False
    checkpoint: str | None = None
    error: str | None = None
    running: int = 1
    settings: dict[str, str] = field(default_factory=dict, repr=False)


def read_state(run: Run) -> State:
    """State of a run; 'waiting' for one that never began.

    Raises:
        ConfigError: it was begun with another config, its file is damaged, or the folder holds someone else's training.
    """
    path = run.folder / STATE_FILE
    if not path.exists():
        if any(run.folder.glob('*.pth')):
            raise ConfigError(f'{run.folder} holds checkpoints of a training of its own: choose another --work-dir')
        return State(settings=run.settings)
    try:
        content = json.loads(path.read_text(encoding='utf-8'))
        state = State(**{key: content[key] for key in asdict(State())})
    except (KeyError, TypeError, ValueError) as error:
        raise ConfigError(f'{path} is damaged ({error}): begin this run afresh with --again') from error
    if state.settings != run.settings:
        raise ConfigError(
            f'{run.title}: the config has changed since the run in {run.folder} began: '
            f'{_changes(state.settings, run.settings)}. Undo the change, or begin this run afresh with --again (what '
            f'is there is kept as {run.folder.name}_old)'
        )
    if state.status == 'finished' and not (run.folder / TEST_FOLDER / RECORD_FILE).is_file():
        return replace(state, status='testing')
    return state


def write_state(run: Run, state: State) -> State:
    """Write the state of a run; it is also returned."""
    identity = {'name': run.name, 'config': str(run.config), 'seed': run.seed, 'fingerprint': run.fingerprint}
    content: dict[str, Any] = {**file_head(FORMAT), **identity, **asdict(state)}
    with atomic_write(run.folder / STATE_FILE) as file:
        json.dump(content, file, indent=2)
        file.write('\n')
    return state


def set_aside(run: Run) -> None:
    """Rename the folder of a run to ``<name>_old``, ``<name>_old2`` ..., if its config has changed."""
    try:
        read_state(run)
    except ConfigError:
        if not (run.folder / STATE_FILE).exists():
            raise
    else:
        return
    number = 1
    while (aside := _aside(run.folder, number)).exists():
        number += 1
    run.folder.rename(aside)


def _aside(folder: Path, number: int) -> Path:
    return folder.with_name(f'{folder.name}_old{number if number > 1 else ""}')


def _changes(before: dict[str, str], now: dict[str, str]) -> str:
    keys = [key for key in {**before, **now} if before.get(key) != now.get(key)]
    lines = [f'{key} was {before.get(key, "absent")}, is {now.get(key, "absent")}' for key in keys[:_MOST_CHANGES]]
    more = [f'and {len(keys) - _MOST_CHANGES} more'] if len(keys) > _MOST_CHANGES else []
    return '; '.join([*lines, *more])
