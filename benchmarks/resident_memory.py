"""How much memory a piece of work needs beyond what the process holds already (Linux)."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from pathlib import Path


class PeakMemory:
    """Peak of the resident memory since the object was made less that before, in 10^6 bytes."""

    def __init__(self) -> None:
        ctypes.CDLL(None).malloc_trim(0)  # what was freed is not to be had for nothing
        Path('/proc/self/clear_refs').write_text('5')  # sets the peak to the present (man 5 proc)
        self._before = _resident_bytes('VmRSS')

    def extra_mb(self) -> float:
        """Up to now."""
        return (_resident_bytes('VmHWM') - self._before) / 1e6


def peak_growth_mb(call: Callable[[], object]) -> float:
    """Extra memory of a call."""
    memory = PeakMemory()
    call()
    return memory.extra_mb()


def _resident_bytes(field: str) -> int:
    line = next(row for row in Path('/proc/self/status').read_text().splitlines() if row.startswith(field))
    return 1024 * int(line.split()[1])
