"""Calls that take turns, and what their times say about each other."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Any

import torch

# of a side: what is timed -> its call, or its seconds
Runs = dict[str, dict[str, Callable[[], object]]]
Times = dict[str, dict[str, list[float]]]


def take_turns(runs: Runs, repeats: int, device: str, fewer: dict[str, int] | None = None) -> Times:
    """Seconds of all calls of all sides, one after the other in every repeat; ``fewer`` bounds those of some sides."""
    times: Times = {name: {what: [] for what in calls} for name, calls in runs.items()}
    for repeat in range(repeats):
        order = list(runs.items())
        for name, calls in reversed(order) if repeat % 2 else order:  # being first has its price, or its gain
            if fewer is not None and repeat >= fewer.get(name, repeats):
                continue
            for what, call in calls.items():
                times[name][what].append(seconds_of(call, device))
    return times


def compared(times: Times, base: str = 'ours') -> dict[str, Any]:
    """Medians of the sides, and how many times those of ``base`` they are."""
    sides = {name: {what: summary(taken) for what, taken in found.items()} for name, found in times.items()}
    ratios = {
        name: {what: round(found[what]['ms'] / sides[base][what]['ms'], 3) for what in found}
        for name, found in sides.items()
        if name != base
    }
    return {'sides': sides, f'over {base}': ratios}


def seconds_of(call: Callable[[], object], device: str) -> float:
    """Time of a call, of the accelerator's work too."""
    synchronise(device)
    start = time.perf_counter()
    call()
    synchronise(device)
    return time.perf_counter() - start


def synchronise(device: str) -> None:
    """Wait for the accelerator."""
    if device == 'cuda':
        torch.cuda.synchronize()


def summary(times: list[float]) -> dict[str, Any]:
    """Median and range, in milliseconds."""
    values = [1e3 * value for value in times]
    spread = [round(min(values), 3), round(max(values), 3)]
    return {'ms': round(statistics.median(values), 3), 'spread_ms': spread, 'repeats': len(values)}
