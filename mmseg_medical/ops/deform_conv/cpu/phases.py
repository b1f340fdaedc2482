"""Steps that wait for each other, within one call of a kernel from several threads.

Nobody counts the threads: each takes tasks of a phase until none is left, then waits until those that others took are
done. A thread that starts late finds nothing to do, so no number of callers can lock each other out.
"""

from __future__ import annotations

from typing import Any

from mmseg_medical.ops.compile import inlined
from mmseg_medical.ops.simd import doze, fetch_add, load_shared, pause, shift

# The first counter numbers the threads.
_BEFORE = 1
# Spins before a thread that waits gives way, some ten microseconds.
_TURNS = 500


def counters_of(phases: int) -> int:
    """Counters that so many phases take."""
    return _BEFORE + 2 * phases


@inlined
def take(counters: Any, phase: Any) -> Any:
    """Number of the next task of a phase."""
    return fetch_add(shift(counters, _BEFORE + 2 * phase), 1)


@inlined
def finish(counters: Any, phase: Any) -> None:
    """Report a task of a phase as done."""
    fetch_add(shift(counters, _BEFORE + 2 * phase + 1), 1)


@inlined
def wait(counters: Any, phase: Any, tasks: Any) -> None:
    """Return when all ``tasks`` of a phase are done."""
    turns = 0
    while load_shared(shift(counters, _BEFORE + 2 * phase + 1)) < tasks:
        turns += 1
        if turns < _TURNS:
            pause()
        else:
            # torch's idle threads spin for milliseconds; one that they keep from its core is moved to this one.
            doze()
