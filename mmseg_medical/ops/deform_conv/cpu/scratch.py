"""Memory that kernels work in, kept from call to call."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

# Of each Python thread. Memory given back to the system comes anew page by page, slower than a small layer computes.
_KEPT_BYTES = 32_000_000
_spare = threading.local()


class Scratch:
    """Lends arrays until the call is over."""

    def __init__(self) -> None:
        self.lent: list[np.ndarray] = []

    def take(self, elements: int, dtype: type[np.floating]) -> np.ndarray:
        """An array of undefined content."""
        size = elements * np.dtype(dtype).itemsize
        shelf: list[np.ndarray] = _spare.__dict__.setdefault('shelf', [])
        fitting = [i for i, buffer in enumerate(shelf) if size <= len(buffer) <= 2 * size]
        best = min(fitting, key=lambda i: len(shelf[i]), default=None)
        buffer = np.empty(size, np.uint8) if best is None else shelf.pop(best)
        self.lent.append(buffer)
        return buffer[:size].view(dtype)

    def release(self) -> None:
        """Take everything back; the oldest memory goes when there is too much."""
        shelf: list[np.ndarray] = _spare.__dict__.setdefault('shelf', [])
        shelf += self.lent
        self.lent = []
        while sum(map(len, shelf)) > _KEPT_BYTES:
            shelf.pop(0)


@contextmanager
def scratch() -> Iterator[Scratch]:
    """Scratch for one call."""
    memory = Scratch()
    try:
        yield memory
    finally:
        memory.release()
