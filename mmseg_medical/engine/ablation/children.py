"""Processes that are ended with their parent."""

from __future__ import annotations

import errno
import fcntl
import os
import shlex
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from mmseg_medical.errors import ConfigError

# of file systems without locks, as some of clusters
_NO_LOCKS = (errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOLCK)


class BusyError(ConfigError):
    """Another process is at work in a folder."""


class Stopped(Exception):
    """The parent is about to end."""


class Ended(Exception):
    """A command was ended by the one who watched it."""


class Children:
    """Start processes from several threads, and end them all.

    Args:
        grace (float): seconds between the request to end and the kill.
        interval (float): seconds between two looks at a command that is watched.
    """

    def __init__(self, grace: float = 15.0, interval: float = 1.0) -> None:
        self.grace = grace
        self.interval = interval
        self._processes: set[subprocess.Popen] = set()
        self._lock = threading.Lock()
        self._stopped = False

    @property
    def stopped(self) -> bool:
        """Whether :meth:`stop` was called."""
        return self._stopped

    def call(
        self,
        command: Sequence[str],
        log: Path,
        environment: Mapping[str, str],
        keep_open: Sequence[int] = (),
        watch: Callable[[], bool] | None = None,
    ) -> int:
        """Run a command to its end.

        Args:
            command (Sequence[str]): program and arguments.
            log (Path): file that its output is added to, the command line first.
            environment (Mapping[str, str]): all of its variables.
            keep_open (Sequence[int]): file descriptors that it inherits.
            watch (Callable | None): called again and again while the command runs; it is ended where this is true or
                raises an error.

        Returns:
            int: exit status, negative for a signal.

        Raises:
            Stopped: :meth:`stop` was called.
            Ended: ``watch`` was true.
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
            try:
                status = process.wait() if watch is None else self._watched(process, watch)
            except BaseException:
                self._end([process])
                with self._lock:
                    self._processes.discard(process)
                raise
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
        self._end(processes)

    def _watched(self, process: subprocess.Popen, watch: Callable[[], bool]) -> int:
        while True:
            with suppress(subprocess.TimeoutExpired):
                return process.wait(self.interval)
            if watch():
                raise Ended

    def _end(self, processes: Sequence[subprocess.Popen]) -> None:
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
def locked(folder: Path, wait: bool = False) -> Iterator[list[int]]:
    """Keep other calls out of a folder, also as long as a child that inherited the lock outlives its parent.

    Args:
        folder (Path): made if missing.
        wait (bool): wait for the others instead of raising.

    Yields:
        list[int]: file descriptors for ``keep_open``.

    Raises:
        BusyError: another process is at work there.
    """
    folder.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(folder / '.lock', os.O_RDWR | os.O_CREAT, 0o644)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError as error:
            raise BusyError(f'another process is at work in {folder}: wait for it or end it') from error
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
