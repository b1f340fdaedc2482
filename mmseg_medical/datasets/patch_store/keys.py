"""What the name of a stored case stands for: the files it came from and what was done to them."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import mmseg_medical
from mmseg_medical.datasets.errors import data_error
from mmseg_medical.datasets.patch_store.metadata import encode
from mmseg_medical.errors import ConfigError

FORMAT = 1  # raise it whenever the stored form, or what a transform computes, changes
_FILES = ('img_path', 'seg_map_path', 'lung_map_path')
# Place in the data set, which changes with its splits and says nothing about the case.
_NOT_OF_THE_CASE = ('sample_idx',)


def pipeline_key(pipeline: Sequence[Mapping], uncompressed: bool) -> str:
    """Name a pipeline; it changes with every argument, and with the version of this package.

    Raises:
        ConfigError: A step is not a dict, or holds what has no text form.
    """
    for step in pipeline:
        if not isinstance(step, Mapping):
            raise ConfigError(
                f'pipeline of LoadStoredPatch takes dicts, whose text names what is stored; found {step!r}'
            )
    try:
        steps = [_sorted(encode(json_dict(step), f'step {step.get("type")!r}')) for step in pipeline]
    except TypeError as error:
        raise ConfigError(f'pipeline of LoadStoredPatch: {error}, of which no name can be made') from error
    return _hash([FORMAT, mmseg_medical.__version__, steps, uncompressed])


def json_dict(value: Any) -> Any:
    """Turn mmengine's ConfigDict, at any depth, into plain dicts."""
    if isinstance(value, Mapping):
        return {key: json_dict(item) for key, item in value.items()}
    if isinstance(value, list):
        return [json_dict(item) for item in value]
    if isinstance(value, tuple):
        return tuple(json_dict(item) for item in value)
    return value


def _sorted(value: Any) -> Any:
    """Order the pairs of dicts, so that arguments count and their order does not."""
    if isinstance(value, list):
        return [_sorted(item) for item in value]
    if isinstance(value, dict):
        if value['__type__'] == 'dict':
            return sorted(([key, _sorted(item)] for key, item in value['value']), key=lambda pair: str(pair[0]))
        return {key: _sorted(item) for key, item in value.items()}
    return value


def case_name(entry: Mapping[str, Any]) -> str:
    """Name the file of a case, from its id, its entry in the data set and its files.

    Of a file its path, size and the times of content and inode count: a look that takes microseconds, at every sample.
    Hashing contents would read each file on every visit, or trust the same times again.

    Raises:
        DataError: A file is missing, or the entry names none or holds what cannot be stored.
    """
    case = str(entry.get('case_id', 'case'))
    if not entry.get('img_path'):
        raise data_error(
            f'case {case}',
            expected='an image file',
            found='no img_path in its entry',
            remedy='Images in memory cannot be stored: load them with LoadVolume.',
        )
    stamps = [_stamp(path) for key in _FILES for path in paths_of(entry.get(key))]
    rest = {key: json_dict(value) for key, value in entry.items() if key not in _NOT_OF_THE_CASE}
    try:
        text = _sorted(encode(rest, 'entry'))
    except TypeError as error:
        raise data_error(
            f'case {case}',
            expected='an entry of numbers, text and small arrays',
            found=str(error),
            remedy='Leave it out of the entries of the data set.',
        ) from error
    return f'{re.sub(r"[^A-Za-z0-9._-]+", "_", case)[:80]}-{_hash([stamps, text])}'


def paths_of(value: Any) -> list[Path]:
    """List the files of an entry: one, several, or those in a folder."""
    if value is None:
        return []
    if isinstance(value, list | tuple):
        return [path for one in value for path in paths_of(one)]
    path = Path(value)
    return sorted(file for file in path.rglob('*') if file.is_file()) if path.is_dir() else [path]


def _stamp(path: Path) -> list:
    try:
        stat = path.stat()
    except OSError as error:
        raise data_error(
            path,
            expected='a readable file',
            found=error.strerror or str(error),
            remedy='Check data_root in the config; files must not vanish during training.',
        ) from error
    return [str(path.absolute()), stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns]


def _hash(value: Any) -> str:
    return hashlib.blake2b(json.dumps(value, sort_keys=True).encode(), digest_size=8).hexdigest()
