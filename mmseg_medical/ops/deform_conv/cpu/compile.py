"""How the kernels are compiled: without Python's lock, and kept on disk."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numba


def kernel(function: Callable[..., Any]) -> Any:
    """Compile an entry point on its first call for a dtype; later processes load it from numba's cache."""
    return numba.njit(nogil=True, cache=True, error_model='numpy')(function)


def inlined(function: Callable[..., Any]) -> Any:
    """Compile a part of a kernel into each caller."""
    return numba.njit(nogil=True, forceinline=True, error_model='numpy')(function)
