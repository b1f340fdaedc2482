"""Threads for kernels that release Python's lock.

numba's own layers do not serve here: its work queue aborts when two Python threads enter it, GNU OpenMP aborts in a
forked child, and TBB is not everywhere. Kernels that hand out their tasks by an atomic counter only need to be called
from several threads, which Python's pool does: it is safe to share, it sleeps when idle and leaves the processor to
torch's threads, and it is made anew in a forked child.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import numpy as np

T = TypeVar('T')

_lock = threading.Lock()
_pool: ThreadPoolExecutor | None = None
_size = 0


def run(kernel: Any, threads: int, *arguments: Any, counters: int = 2) -> None:
    """Call ``kernel(counter, *arguments)`` from ``threads`` threads, this one among them, until all have returned.

    ``counter`` is an int64 array of zeros that the threads share: the next task, the next thread.
    """
    counter = np.zeros(counters, np.int64)
    helpers = []
    # Once the main thread has ended, Python starts no others: this one does all the tasks.
    with contextlib.suppress(RuntimeError):
        for _ in range(threads - 1):
            helpers.append(_helpers(threads - 1).submit(kernel, counter, *arguments))
    kernel(counter, *arguments)
    for helper in helpers:
        # One that has not begun would find no task left; its turn may come late if other callers are busy.
        if not helper.cancel():
            helper.result()


def run_all(tasks: Sequence[Callable[[], T]], num_threads: int) -> list[T]:
    """Do tasks in turn, each in the first of ``num_threads`` threads that is free; return their results in order."""
    results: list[Any] = [None] * len(tasks)
    queue = iter(enumerate(tasks))  # of a list, hence safe to share

    def work(_: np.ndarray) -> None:
        for n, task in queue:
            results[n] = task()

    run(work, min(num_threads, len(tasks)))
    return results


def _helpers(count: int) -> ThreadPoolExecutor:
    global _pool, _size
    with _lock:
        if _pool is None or _size < count:
            # A pool that is replaced finishes what it was given; its threads end with its last reference.
            _pool, _size = ThreadPoolExecutor(count, thread_name_prefix='kernels'), count
        return _pool


def _forget() -> None:
    global _lock, _pool, _size
    _lock, _pool, _size = threading.Lock(), None, 0


if hasattr(os, 'register_at_fork'):  # pragma: no branch
    os.register_at_fork(after_in_child=_forget)
