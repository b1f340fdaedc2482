"""Errors that a user can cause and mend; their message is all that the tools print."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class ConfigError(ValueError):
    """A config, or what a command line changed in it, cannot be used."""


class CheckpointError(ValueError):
    """A checkpoint is missing, damaged, or belongs to another network."""


def did_you_mean(name: str, known: Iterable[str], cutoff: float = 0.6) -> str:
    """Return ' Did you mean a or b?' for the names in ``known`` that look like ``name``, or ''."""
    near = difflib.get_close_matches(name, sorted(known), n=3, cutoff=cutoff)
    return f' Did you mean {" or ".join(near)}?' if near else ''
