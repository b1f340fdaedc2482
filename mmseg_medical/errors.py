"""Errors that a user can cause and mend; their message is all that the tools print."""

from __future__ import annotations

import difflib
import traceback
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path


class ConfigError(ValueError):
    """A config, or what a command line changed in it, cannot be used."""


class CheckpointError(ValueError):
    """A checkpoint is missing, damaged, or belongs to another network."""


class ModelNotFoundError(ConfigError, CheckpointError, FileNotFoundError):
    """A model directory, a file of it, or a checkpoint is not there."""


def expectation(subject: str | Path, *, expected: str, found: str, remedy: str = '') -> str:
    """Word what is wrong with a file, folder or case: what it should have been, what it is, what the user can do."""
    end = '' if found.endswith(('.', '?', '!')) else '.'
    return f'{subject}: expected {expected}, found {found}{end}{" " if remedy else ""}{remedy}'


def did_you_mean(name: str, known: Iterable[str], cutoff: float = 0.6, most: int = 3) -> str:
    """Return ' Did you mean a or b?' for the names in ``known`` that look like ``name``, or ''."""
    near = difflib.get_close_matches(name, sorted(known), n=most, cutoff=cutoff)
    return f' Did you mean {" or ".join(near)}?' if near else ''


@contextmanager
def building(part: str) -> Iterator[None]:
    """Word the refusal of a class or library that is built from a config as an error of the config.

    Registries answer a wrong type with KeyError, constructors a wrong argument with TypeError, mmengine and mmseg a
    wrong value with a bare assertion. Anywhere else these are faults of the program.

    Args:
        part: Key of the config that is being built.

    Raises:
        ConfigError: One of those was raised inside.
    """
    try:
        yield
    except (AssertionError, LookupError, TypeError) as error:
        raise ConfigError(f'{part} of the config cannot be built: {error_text(error)}') from error


def error_text(error: BaseException) -> str:
    """Return the message of an error; of one that a data worker passed on, the message it started with."""
    text = str(error.args[0]) if isinstance(error, KeyError) and error.args else str(error)
    if isinstance(error, AssertionError) and not text:
        frame = traceback.extract_tb(error.__traceback__)[-1]
        return f'{Path(frame.filename).name} line {frame.lineno} refuses the config: {frame.line}'
    if 'Original Traceback' not in text:
        return text or type(error).__name__
    name = type(error).__name__
    lines = text.rstrip().splitlines()
    start = next((i for i in reversed(range(len(lines))) if lines[i].split(':')[0].rpartition('.')[2] == name), -1)
    return '\n'.join(lines[start:]).partition(': ')[2]
