"""Results of a cross-validation: each number over the folds."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np


def summarize_folds(paths: Sequence[str | Path]) -> dict[str, Any]:
    """Average the numbers of several folds.

    Args:
        paths (Sequence[str | Path]): ``metrics.json`` of each fold, as ``NoduleSegMetric`` writes it.

    Returns:
        dict: ``mask_source``; ``folds``, the files; ``numbers``: name -> ``mean``, ``std`` (of a sample, n - 1; NaN of
        one fold) and ``n`` of the folds in which it is defined. Counts are averaged like scores.

    Raises:
        ValueError: There is no file, one is something else, a case is in two of them, or they were measured against
            different sources of masks.
    """
    if not paths:
        raise ValueError('there is no fold to summarise')
    contents = [_read(Path(path)) for path in paths]
    sources = {content['mask_source']: str(path) for path, content in zip(paths, contents, strict=True)}
    if len(sources) > 1:
        listed = ', '.join(f'{source} ({path})' for source, path in sources.items())
        raise ValueError(f'folds measured against different masks do not compare: {listed}')
    seen: dict[str, str] = {}
    for path, content in zip(paths, contents, strict=True):
        for case in content['cases']:
            if seen.setdefault(case, str(path)) != str(path):
                raise ValueError(f'{path}: expected cases of its own, found {case}, which {seen[case]} has too')
    names = list(dict.fromkeys(name for content in contents for name in content['numbers']))
    return {
        'mask_source': contents[0]['mask_source'],
        'folds': [str(path) for path in paths],
        'numbers': {name: _describe([content['numbers'].get(name) for content in contents]) for name in names},
    }


def _describe(values: Sequence[float | None]) -> dict[str, float | int]:
    defined = np.array([value for value in values if value is not None], np.float64)
    return {
        'mean': float(defined.mean()) if defined.size else math.nan,
        'std': float(defined.std(ddof=1)) if defined.size > 1 else math.nan,
        'n': int(defined.size),
    }


def _read(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding='utf-8'))
    except (OSError, ValueError) as error:
        raise ValueError(f'{path}: expected metrics.json of a fold, found {error}') from error
    missing = [
        key for key in ('mask_source', 'numbers', 'cases') if not isinstance(content, dict) or key not in content
    ]
    if missing:
        raise ValueError(f'{path}: expected metrics.json as NoduleSegMetric writes it, found none of {missing[0]!r}')
    return content
