"""No image may be in two splits, neither under its own name nor under another."""

from __future__ import annotations

import hashlib
import warnings
from collections import defaultdict
from collections.abc import Iterator
from itertools import combinations
from pathlib import Path
from typing import Any

from torch.utils.data import Subset

from mmseg_medical.datasets.errors import data_error

_KEYS = ('img_path', 'case_id', 'patient_id')
_REMEDY = 'Remove it from one of them: correct split, split_file or data_root of the datasets in the config.'


def check_disjoint(*datasets: Any) -> None:
    """Compare every pair of data sets by case, by patient where entries have a ``patient_id``, and by file content.

    Wrappers with ``dataset`` or ``datasets`` are looked into. Files are read only where their sizes agree. What cannot
    be listed, such as a plain torch data set, is left out with one warning.

    Args:
        *datasets (Dataset): Initialised data sets, for example those of training and of testing.

    Raises:
        DataError: an image or patient is in two of them; the message names it and both data sets.
    """
    unlisted: dict[str, None] = {}
    listed = []
    for dataset in datasets:
        entries = list(_entries(dataset))
        if any(entry is None or not any(key in entry for key in _KEYS) for entry in entries):
            unlisted[_describe(dataset)] = None
        listed.append((dataset, [entry for entry in entries if entry is not None]))
    if unlisted and len(datasets) > 1:
        warnings.warn(
            f'{", ".join(unlisted)}: not checked for images that are in two splits, as entries name no images '
            f'(get_data_info(index) with {", ".join(_KEYS)})',
            stacklevel=2,
        )
    for (first, ours), (second, theirs) in combinations(listed, 2):
        where = f'{_describe(first)} and {_describe(second)}'
        for key in ('case_id', 'patient_id'):
            _check_key(ours, theirs, key, where)
        _check_content(ours, theirs, where)


def same_images(first: Any, second: Any) -> bool:
    """Say whether two data sets list exactly the same image files, as one split that is used twice does."""
    ours, theirs = (sorted(map(str, map(_path, _entries(dataset)))) for dataset in (first, second))
    return ours == theirs and 'None' not in ours


def _entries(dataset: Any) -> Iterator[dict | None]:
    """Entries of a data set and of what it wraps; None for one that does not say."""
    if hasattr(dataset, 'datasets'):
        for part in dataset.datasets:
            yield from _entries(part)
    elif hasattr(dataset, 'get_data_info'):
        for index in range(len(dataset)):
            entry = dataset.get_data_info(index)
            yield entry if isinstance(entry, dict) else None
    elif isinstance(dataset, Subset):
        whole: Any = dataset.dataset
        entries = list(_entries(whole))
        known = len(entries) == len(whole)
        yield from (entries[index] for index in dataset.indices) if known else [None]
    elif hasattr(dataset, 'dataset'):
        yield from _entries(dataset.dataset)
    else:
        yield None


def _path(entry: dict | None) -> str | None:
    return None if entry is None else entry.get('img_path')


def _describe(dataset: Any) -> str:
    return getattr(dataset, 'description', type(dataset).__name__)


def _check_key(ours: list[dict], theirs: list[dict], key: str, where: str) -> None:
    known = {entry[key] for entry in ours if key in entry}
    both = sorted({entry[key] for entry in theirs if key in entry} & known)
    if both:
        raise data_error(
            f'{key} {", ".join(map(str, both[:6]))}{", ..." if len(both) > 6 else ""}',
            expected='to be in one split only',
            found=f'{len(both)} shared by {where}',
            remedy=_REMEDY,
        )


def _check_content(ours: list[dict], theirs: list[dict], where: str) -> None:
    by_size = defaultdict(list)
    for path in _files(ours):
        by_size[Path(path).stat().st_size].append(path)
    for path in _files(theirs):
        same_size = by_size.get(Path(path).stat().st_size, [])
        if not same_size:
            continue
        digest = _digest(path)
        for other in same_size:
            if _digest(other) == digest:
                raise data_error(
                    path,
                    expected='a picture that is in one split only',
                    found=f'the same bytes as {other}, shared by {where}',
                    remedy=_REMEDY,
                )


def _files(entries: list[dict]) -> list[str]:
    paths = filter(None, map(_path, entries))
    return [path for path in paths if Path(path).is_file()]  # others are reported, by name, when they are loaded


def _digest(path: str) -> bytes:
    return hashlib.blake2b(Path(path).read_bytes(), digest_size=16).digest()
