"""Processes that are ended with their parent."""

from __future__ import annotations

import errno
import fcntl
import os
import shlex
import signal
import subprocess
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from mmseg_medical.errors import ConfigError

# of file systems without locks, as some of clusters
_NO_LOCKS = (errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOLCK)


class Stopped(Exception):
    """The parent is about to end."""


class Children:
    """Start processes from several threads, and end them all.

    Args:
        grace (float): seconds between the request to end and the kill.
    """

    def __init__(self, grace: float = 15.0) -> None:
        self.grace = grace
        self._processes: set[subprocess.Popen] = set()
        self._lock = threading.Lock()
        self._stopped = False

    def call(
        self, command: Sequence[str], log: Path, environment: Mapping[str, str], keep_open: Sequence[int] = ()
    ) -> int:
        """Run a command to its end.

        Args:
            command (Sequence[str]): program and arguments.
            log (Path): file that its output is added to, the command line first.
            environment (Mapping[str, str]): all of its variables.
            keep_open (Sequence[int]): file descriptors that it inherits.

        Returns:
            int: exit status, negative for a signal.

        Raises:
            Stopped: :meth:`stop` was called.
            OSError: the command cannot be started.
        """
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open('a', encoding='utf-8') as file:
            file.write(f'$ {shlex.join(command)}\n')
            file.flush()
            with self._lock:
                if self._stopped:
                    raise Stopped
                # a session of its own: Ctrl-C reaches only the parent, which then ends the process and its workers
                process = subprocess.Popen(
                    command,
                    stdin=subprocess.DEVNULL,
                    stdout=file,
                    stderr=subprocess.STDOUT,
                    env=dict(environment),
                    start_new_session=True,
                    pass_fds=tuple(keep_open),
                )
                self._processes.add(process)
            status = process.wait()
        with self._lock:
            self._processes.discard(process)
            if self._stopped:
                raise Stopped
        return status

    def stop(self) -> None:
        """End all processes and what they started; no further one is begun."""
        with self._lock:
            self._stopped = True
            processes = list(self._processes)
        for process in processes:
            _signal(process, signal.SIGTERM)
        for process in processes:
            with suppress(subprocess.TimeoutExpired):
                process.wait(self.grace)
            _signal(process, signal.SIGKILL)  # also what outlives its parent in the group


def _signal(process: subprocess.Popen, number: int) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, number)


@contextmanager
def locked(folder: Path) -> Iterator[list[int]]:
    """Keep other calls out of a folder, also as long as a child that inherited the lock outlives its parent.

    Yields:
        list[int]: file descriptors for ``keep_open``.

    Raises:
        ConfigError: another process is at work there.
    """
    folder.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(folder / '.lock', os.O_RDWR | os.O_CREAT, 0o644)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise ConfigError(f'another process is at work in {folder}: wait for it or end it') from error
        except OSError as error:
            if error.errno not in _NO_LOCKS:
                raise
        yield [descriptor]
    finally:
        os.close(descriptor)


@contextmanager
def interruptible() -> Iterator[None]:
    """Let SIGTERM and the end of the terminal do what Ctrl-C does; nohup's choice to ignore the latter stays."""

    def interrupt(number: int, frame: Any) -> None:
        raise KeyboardInterrupt

    ends = [number for number in (signal.SIGTERM, signal.SIGHUP) if signal.getsignal(number) != signal.SIG_IGN]
    before = {number: signal.signal(number, interrupt) for number in ends}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
