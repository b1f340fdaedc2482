"""Who runs a trial, and whether that process still lives."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

#: seconds between two signs of life
BEAT = 60.0
#: seconds without one after which a process of another machine counts as dead
STALE = 600.0


def identify(pid: int | None = None) -> dict[str, Any]:
    """This process, or another of this machine, in a form that a storage can hold."""
    pid = os.getpid() if pid is None else pid
    return {'host': socket.gethostname(), 'boot': _boot(), 'pid': pid, 'started': _started(pid)}


def lives(owner: Mapping[str, Any], last_beat: float) -> bool:
    """Whether the process of an owner is alive.

    Args:
        owner (Mapping): see :func:`identify`.
        last_beat (float): time of its last sign of life, in seconds since the epoch.
    """
    if owner.get('host') == socket.gethostname() and owner.get('boot') == _boot():
        return owner.get('started') is not None and owner['started'] == _started(int(owner['pid']))
    return time.time() - last_beat < STALE


def _boot() -> str:
    path = Path('/proc/sys/kernel/random/boot_id')
    return path.read_text().strip() if path.exists() else ''


def _started(pid: int) -> str | None:
    """Start of a process, which tells it from a later one with its number; None if there is none."""
    path = Path(f'/proc/{pid}/stat')
    try:
        # behind the name, which may hold blanks and brackets, the 20th entry
        return path.read_text().rpartition(')')[2].split()[19]
    except (OSError, IndexError):
        pass
    if Path('/proc/self').exists():
        return None
    try:  # a system without /proc
        os.kill(pid, 0)
    except ProcessLookupError:
        return None
    except PermissionError:
        pass
    return 'alive'
