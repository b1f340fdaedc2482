"""How CPU kernels are compiled: without Python's lock, and kept on disk."""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numba


def kernel(function: Callable[..., Any]) -> Any:
    """Compile an entry point on its first call for a dtype; later processes load it from numba's cache.

    What it inlines must lie in its own folder or in this one: the cache is compared with the sources there.

    The cache lies beside the package or, where that is read-only, in the user's cache folder or ``NUMBA_CACHE_DIR``.
    """
    try:
        compiled: Any = numba.njit(nogil=True, error_model='numpy', cache=True)(function)
        # numba compares the date of the kernel's own file; what it inlines from the others counts as well.
        index = compiled._cache._cache_file
        index._source_stamp = (index._source_stamp, _sources_digest(Path(function.__code__.co_filename).parent))
    except (RuntimeError, AttributeError) as error:
        warnings.warn(f'kernels are compiled anew in each process: numba cannot cache them ({error})', stacklevel=2)
        return numba.njit(nogil=True, error_model='numpy')(function)
    return compiled


def inlined(function: Callable[..., Any]) -> Any:
    """Compile a part of a kernel into each caller."""
    return numba.njit(nogil=True, forceinline=True, error_model='numpy')(function)


@cache
def _sources_digest(folder: Path) -> str:
    files = sorted({*folder.glob('*.py'), *Path(__file__).parent.glob('*.py')})
    return hashlib.sha256(b''.join(path.read_bytes() for path in files)).hexdigest()
