"""Writing files so that a reader never meets half of one, whoever else writes and whenever the process dies."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

#: end of the names of files that are not complete
PARTIAL_SUFFIX = '.partial'


@contextmanager
def atomic_path(path: str | Path, durable: bool = False) -> Iterator[Path]:
    """Name a temporary file beside ``path`` that takes its place when the block ends without an error.

    Every call has a name of its own, so that processes may write the same file: the last one wins, whole.

    Args:
        path: File to write; its folder is made if missing.
        durable: Wait until the disk has the contents before they get the name, and then until it has the name, so
            that a power cut leaves the old file or the new one. Costs tens of milliseconds.

    Yields:
        Path: ``.<name>.<random><PARTIAL_SUFFIX>`` in the same folder; does not exist yet.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f'.{path.name}.{secrets.token_hex(4)}{PARTIAL_SUFFIX}')
    try:
        yield temporary
        if durable:
            with temporary.open('rb+') as file:
                os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    if durable:
        with suppress(OSError):  # a folder cannot be opened on Windows nor synchronised on some network file systems
            folder = os.open(path.parent, os.O_RDONLY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)


@contextmanager
def atomic_write(path: str | Path, mode: str = 'w', durable: bool = False) -> Iterator[IO[Any]]:
    """Open the temporary file of :func:`atomic_path`.

    Args:
        path: File to write; its folder is made if missing.
        mode: ``'w'`` (UTF-8 text) or ``'wb'``.
        durable: See :func:`atomic_path`.

    Yields:
        IO: The open file.
    """
    with (
        atomic_path(path, durable) as temporary,
        temporary.open(mode, encoding=None if 'b' in mode else 'utf-8') as file,
    ):
        yield file
