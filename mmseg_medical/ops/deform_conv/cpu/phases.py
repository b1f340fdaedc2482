"""Steps that wait for each other, within one call of a kernel from several threads.

Nobody counts the threads: each takes tasks of a phase until none is left, then waits until those that others took are
done. A thread that starts late finds nothing to do, so no number of callers can lock each other out.
"""

from __future__ import annotations

from typing import Any

from mmseg_medical.ops.deform_conv.cpu.compile import inlined
from mmseg_medical.ops.deform_conv.cpu.simd import fetch_add, load_shared, pause, shift

# The first counter numbers the threads.
_BEFORE = 1


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
    while load_shared(shift(counters, _BEFORE + 2 * phase + 1)) < tasks:
        pause()
