"""One run: trained, tested, its state written after every step."""

from __future__ import annotations

import signal
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

from mmseg_medical.engine.ablation.children import Children, locked
from mmseg_medical.engine.ablation.commands import Commands, find_checkpoint, last_checkpoint
from mmseg_medical.engine.ablation.plan import Run
from mmseg_medical.engine.ablation.state import TEST_FOLDER, State, read_state, set_aside, write_state
from mmseg_medical.engine.record_hook import RECORD_FILE

_TAIL_LINES = 15
_TAIL_BYTES = 8192


def run_one(
    run: Run,
    commands: Commands,
    children: Children,
    environment: Mapping[str, str],
    say: Callable[[str], None],
    running: int = 1,
    again: bool = False,
    watch: Callable[[], bool] | None = None,
) -> str | None:
    """Do what is left of a run.

    Args:
        run (Run): which.
        commands (Commands): command lines.
        children (Children): starts them.
        environment (Mapping[str, str]): their variables.
        say (Callable): takes a line for the user.
        running (int): runs that this machine does at once.
        again (bool): begin afresh if the config has changed.
        watch (Callable | None): called again and again while a command runs; it is ended where this is true.

    Returns:
        str | None: why it failed; it is in the run's state, too.

    Raises:
        ConfigError: the run cannot be taken up, or another process is at it.
        Stopped, Ended: the children are being stopped, or ``watch`` was true; the state says how far the run came.
    """
    if again:
        with locked(run.folder):
            set_aside(run)
    with locked(run.folder) as lock:
        state = read_state(run)
        if state.status == 'finished':
            return None
        if not state.trained:
            checkpoint = last_checkpoint(run)
            say(f'{run.title}: training' + (f', resumed from {checkpoint.name}' if checkpoint else ''))
            state = write_state(run, replace(state, status='training', error=None))
            log = run.folder / 'train.log'
            status = children.call(commands.train(run, checkpoint is not None), log, environment, lock, watch)
            if status:
                return _fail(run, state, f'training {failure(status, log)}')
            state = write_state(run, replace(state, trained=True))
        checkpoint = find_checkpoint(run)
        if checkpoint is None:
            again_text = 'its config keeps none (default_hooks.checkpoint)'
            return _fail(
                run, replace(state, trained=False), f'the training left no checkpoint in {run.folder}: {again_text}'
            )
        say(f'{run.title}: testing {checkpoint.name}')
        record, log = run.folder / TEST_FOLDER / RECORD_FILE, run.folder / 'test.log'
        record.unlink(missing_ok=True)
        state = replace(state, status='testing', error=None, checkpoint=checkpoint.name, running=running)
        write_state(run, state)
        status = children.call(commands.test(run, checkpoint), log, environment, lock, watch)
        if status or not record.is_file():
            return _fail(run, state, f'testing {failure(status, log)}')
        write_state(run, replace(state, status='finished'))
        return None


def failure(status: int, log: Path) -> str:
    """How a command ended, and the last lines of its log."""
    if status < 0:
        cause = f'was killed by {signal.Signals(-status).name}'
        if -status == signal.SIGKILL:
            cause += ', perhaps because memory ran out'
    else:
        cause = f'ended with status {status}'
    return f'{cause}; the end of {log}:\n{tail(log)}'


def tail(log: Path) -> str:
    """Last lines of a file."""
    with log.open('rb') as file:
        file.seek(max(0, log.stat().st_size - _TAIL_BYTES))
        return '\n'.join(file.read().decode(errors='replace').splitlines()[-_TAIL_LINES:])


def _fail(run: Run, state: State, error: str) -> str:
    write_state(run, replace(state, status='failed', error=error))
    return error
