"""No image may be in two splits, neither under its own name nor under another."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterator
from itertools import combinations
from pathlib import Path
from typing import Any

from mmseg_medical.datasets.errors import data_error

_REMEDY = 'Remove it from one of them: correct split, split_file or data_root of the datasets in the config.'


def check_disjoint(*datasets: Any) -> None:
    """Compare every pair of data sets by case, by patient where entries have a ``patient_id``, and by file content.

    Wrappers with ``dataset`` or ``datasets`` are looked into. Files are read only where their sizes agree.

    Args:
        *datasets (Dataset): Initialised data sets, for example those of training and of testing.

    Raises:
        DataError: an image or patient is in two of them; the message names it and both data sets.
    """
    listed = [(dataset, list(_entries(dataset))) for dataset in datasets]
    for (first, ours), (second, theirs) in combinations(listed, 2):
        where = f'{_describe(first)} and {_describe(second)}'
        for key in ('case_id', 'patient_id'):
            _check_key(ours, theirs, key, where)
        _check_content(ours, theirs, where)


def _entries(dataset: Any) -> Iterator[dict]:
    if hasattr(dataset, 'datasets'):
        for part in dataset.datasets:
            yield from _entries(part)
    elif hasattr(dataset, 'get_data_info'):
        for index in range(len(dataset)):
            yield dataset.get_data_info(index)
    else:
        yield from _entries(dataset.dataset)


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
    for entry in ours:
        by_size[Path(entry['img_path']).stat().st_size].append(entry['img_path'])
    for entry in theirs:
        path = entry['img_path']
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


def _digest(path: str) -> bytes:
    return hashlib.blake2b(Path(path).read_bytes(), digest_size=16).digest()
