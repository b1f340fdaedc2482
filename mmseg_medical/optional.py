"""Packages that only some functions need."""

from __future__ import annotations

import importlib
import importlib.util
from typing import Any


def import_optional(name: str, extra: str) -> Any:
    """Import a package that a plain install does not bring.

    Args:
        name (str): Import name, e.g. ``'nibabel'``.
        extra (str): Extra of this package that brings it, e.g. ``'volumes'``.

    Returns:
        module: The package.

    Raises:
        ImportError: It is not installed, with the line that installs it. One that is installed but broken raises its
            own error.
    """
    if importlib.util.find_spec(name) is None:
        raise ImportError(f"{name} is needed and not installed here: pip install 'mmseg-medical[{extra}]'")
    return importlib.import_module(name)
