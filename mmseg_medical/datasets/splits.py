"""Which cases are in which part of a data set: JSON files, and rules that make them.

A file holds ``{"source": "train", "train": ["case", ...], "val": [...]}``, or folds: ``{"source": "train", "folds":
[{"train": [...], "val": [...]}, ...]}``. ``source`` is the part of the release that the cases come from; keys that hold
no list (``seed``, ``rule``) are notes.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from mmseg_medical.datasets.errors import data_error
from mmseg_medical.errors import did_you_mean
from mmseg_medical.files import atomic_write

Parts = dict[str, list[str]]


def read_split(path: str | Path, split: str, fold: int | None = None) -> tuple[str, list[str]]:
    """Read the cases of one part.

    Args:
        path (str | Path): JSON file, see the module.
        split (str): Name of the part, e.g. ``'val'``.
        fold (int | None): Which of the folds, from 0; None for a file without.

    Returns:
        tuple[str, list[str]]: Part of the release they come from (``'train'`` unless the file says so), and the cases.

    Raises:
        DataError: The file cannot be read, has no such part or fold, names a case twice, or in two parts.
    """
    path = Path(path)
    content = _read(path)
    parts = _parts(content, path, fold)
    check_part(split, parts, str(path))
    check_parts(parts, path)
    return str(content.get('source', 'train')), parts[split]


def check_part(split: str, known: Iterable[str], where: str) -> None:
    """Refuse a part that is not there.

    Raises:
        DataError: ``split`` is not in ``known``.
    """
    known = list(known)
    if split not in known:
        raise data_error(
            where,
            expected=f'a split out of {", ".join(map(repr, known))}',
            found=repr(split),
            remedy=f'Set split of the dataset in the config.{did_you_mean(split, known)}',
        )


def check_parts(parts: Parts, path: str | Path) -> None:
    """Refuse parts that are not disjoint.

    Raises:
        DataError: A case is named twice, in one part or in two.
    """
    for split, names in parts.items():
        doubled = sorted({name for name in names if names.count(name) > 1})
        if doubled:
            raise data_error(
                path, expected='each case once', found=f'{", ".join(doubled)} repeated', remedy='Remove the repetition.'
            )
        for other, cases in parts.items():
            both = sorted(set(cases) & set(names)) if other != split else []
            if both:
                raise data_error(
                    path,
                    expected='disjoint splits',
                    found=f'{", ".join(both)} in {split!r} and {other!r}',
                    remedy='Keep every case in one split only.',
                )


def select_cases(entries: dict[str, Any], names: Sequence[str], path: str | Path, root: str | Path) -> list[Any]:
    """Return the entries of the named cases.

    Raises:
        DataError: Some are not there.
    """
    missing = [name for name in names if name not in entries]
    if missing:
        raise data_error(
            path,
            expected=f'cases that are under {root}',
            found=f'no image for {", ".join(missing[:6])} ({len(missing)} of {len(names)})',
            remedy='Complete the data set or correct the list.',
        )
    return [entries[name] for name in names]


def hold_out(cases: Sequence[str], number: int, seed: int = 42, group: Callable[[str], str] | None = None) -> Parts:
    """Draw cases to validate on.

    Args:
        cases (Sequence[str]): All of them; their order does not matter.
        number (int): Cases (groups, where there are some) to validate on.
        seed (int): Of the draw.
        group (Callable | None): Case to its patient; one patient's cases stay together.

    Returns:
        dict[str, list[str]]: ``train`` and ``val``, sorted.

    Raises:
        ValueError: Nothing would be left to train on, or to validate.
    """
    groups = _shuffled_groups(cases, seed, group)
    if not 0 < number < len(groups):
        raise ValueError(f'{number} of {len(groups)} cannot be held out')
    return _parts_of(groups[number:], groups[:number])


def k_folds(
    cases: Sequence[str], folds: int = 5, seed: int = 42, group: Callable[[str], str] | None = None
) -> list[Parts]:
    """Divide cases into folds of sizes that differ by at most one (group).

    Args:
        cases (Sequence[str]): All of them; their order does not matter.
        folds (int): Number of folds.
        seed (int): Of the shuffling.
        group (Callable | None): Case to its patient; one patient's cases stay together.

    Returns:
        list[dict[str, list[str]]]: of each fold ``train`` and ``val``, sorted; every case validates once.

    Raises:
        ValueError: There are fewer than two folds, or fewer cases (groups) than folds.
    """
    groups = _shuffled_groups(cases, seed, group)
    if not 2 <= folds <= len(groups):
        raise ValueError(f'{len(groups)} cannot be divided into {folds} folds')
    return [_parts_of([g for i, g in enumerate(groups) if i % folds != k], groups[k::folds]) for k in range(folds)]


def rare_unet_split(cases: Sequence[str], seed: int = 42) -> Parts:
    """Divide as RARE-UNet's authors did: 80 % to train, the rest to test, then the last 5 % of the first to validate.

    Both times the sorted list is shuffled with Python's generator; whether the authors' draw is met case by case is not
    known, their files are not published.

    Returns:
        dict[str, list[str]]: ``train``, ``val``, ``test``; 260 cases give 198, 10, 52.
    """
    order = sorted(cases)
    random.Random(seed).shuffle(order)
    first = int(0.8 * len(order))
    rest, test = sorted(order[:first]), sorted(order[first:])
    random.Random(seed).shuffle(rest)
    held = int(0.05 * len(rest))
    return {'train': sorted(rest[: len(rest) - held]), 'val': sorted(rest[len(rest) - held :]), 'test': test}


def write_split(path: str | Path, content: dict[str, Any]) -> list[str]:
    """Write a file of parts or folds, whole or not at all.

    Args:
        path (str | Path): JSON file to write.
        content (dict): See the module.

    Returns:
        list[str]: How many cases each part has, a line a fold.
    """
    with atomic_write(path) as file:
        file.write(json.dumps(content, indent=1) + '\n')
    folds = content.get('folds') or [{key: value for key, value in content.items() if isinstance(value, list)}]
    counts = [', '.join(f'{len(names)} {name}' for name, names in parts.items()) for parts in folds]
    return [f'fold {number}: {line}' for number, line in enumerate(counts)] if 'folds' in content else counts


def _shuffled_groups(cases: Sequence[str], seed: int, group: Callable[[str], str] | None) -> list[list[str]]:
    groups: dict[str, list[str]] = {}
    for case in sorted(cases):
        groups.setdefault(case if group is None else group(case), []).append(case)
    order = list(groups.values())
    random.Random(seed).shuffle(order)
    return order


def _parts_of(train: Sequence[list[str]], val: Sequence[list[str]]) -> Parts:
    return {'train': sorted(case for one in train for case in one), 'val': sorted(case for one in val for case in one)}


def _read(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise data_error(
            path,
            expected='a JSON file of splits',
            found=str(error),
            remedy='Set split_file of the dataset in the config.',
        ) from error
    if not isinstance(content, dict):
        raise data_error(
            path,
            expected='a JSON object of splits',
            found=f'a {type(content).__name__}',
            remedy='Name the parts: {"train": [...], "val": [...]}.',
        )
    return content


def _parts(content: dict[str, Any], path: Path, fold: int | None) -> Parts:
    folds = content.pop('folds', None)
    if (folds is None) != (fold is None):
        raise data_error(
            path,
            expected='folds, as fold of the dataset asks for one' if folds is None else 'the number of a fold',
            found='none',
            remedy='Leave out fold.' if folds is None else f'Set fold of the dataset to 0..{len(folds) - 1}.',
        )
    if folds is None:
        return {key: value for key, value in content.items() if isinstance(value, list)}
    if not 0 <= int(fold or 0) < len(folds):
        raise data_error(
            path, expected=f'a fold in 0..{len(folds) - 1}', found=str(fold), remedy='Set fold of the dataset.'
        )
    return folds[fold]
