"""What one test says of one metric: by case where its files hold cases, else as a single number."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from mmseg_medical.engine.record_hook import FORMAT as RECORD_FORMAT
from mmseg_medical.engine.record_hook import RECORD_FILE
from mmseg_medical.errors import ConfigError, did_you_mean
from mmseg_medical.evaluation.functional.overlap import SCORES, mean_of_defined
from mmseg_medical.evaluation.table import FORMAT as CASES_FORMAT
from mmseg_medical.evaluation.table import CaseTable
from mmseg_medical.evaluation.table_files import METRICS_FILE

_IMAGES_FORMAT = 'mmseg_medical.metrics/1'


@dataclass(frozen=True)
class Scores:
    """One metric of one test.

    Attributes:
        number (float): the mean of ``cases``, or else the logged number.
        cases (dict[str, float]): case -> mean over the classes defined in it, NaN where none is; empty for a metric
            that is not measured by case.
        classes (dict[str, float]): class -> mean over the cases in which it is defined.
        conventions (dict[str, str]): what the numbers mean.
    """

    number: float
    cases: dict[str, float] = field(default_factory=dict, repr=False)
    classes: dict[str, float] = field(default_factory=dict)
    conventions: dict[str, str] = field(default_factory=dict, repr=False)


def read_record(folder: Path) -> dict[str, Any]:
    """Read ``test_record.json`` of a test.

    Raises:
        ConfigError: it is damaged.
    """
    path = folder / RECORD_FILE
    content = _read_json(path)
    if content.get('format') != RECORD_FORMAT:
        raise ConfigError(f'{path}: expected the format {RECORD_FORMAT!r}, found {content.get("format")!r}')
    return content


def read_scores(folder: Path, metric: str, classes: Sequence[str] | None = None) -> Scores:
    """Read one metric from the files of a test.

    Args:
        folder (Path): with ``test_record.json`` and, where metrics kept their cases, ``metrics.json`` (of several
            metrics in a folder each).
        metric (str): of each case, such as ``dice``, or the name of a logged number, such as ``mAUPR``.
        classes (Sequence[str] | None): classes and regions that count in the mean of a case; None: all but the
            background.

    Raises:
        ConfigError: there is no such metric or class, or a file is damaged.
    """
    known: list[str] = []
    for path in [folder / METRICS_FILE, *sorted(folder.glob(f'*/{METRICS_FILE}'))]:
        content = _read_json(path) if path.is_file() else {}
        if content.get('format') == CASES_FORMAT:
            table = CaseTable.from_dict(content)
            known += table.metrics
            if metric in table.metrics:
                values = np.stack([table.column(name, metric) for name in table.classes], axis=1)
                return _by_case(table.case_ids, table.classes, values, table.conventions, classes)
        elif content.get('format') == _IMAGES_FORMAT:
            known += SCORES
            if metric in SCORES:
                return _of_images(content, metric, classes)
    logged = read_record(folder)['metrics']
    if metric in logged:
        if classes is not None:
            raise ConfigError(f'--classes choose from metrics by case, but {metric!r} is a logged number')
        return Scores(_number(logged[metric]))
    known = list(dict.fromkeys([*known, *(name for name in logged if '.' not in name)]))
    raise ConfigError(
        f'--metric {metric}: the tests of this group do not measure it, they have {", ".join(known)}.'
        + did_you_mean(metric, {*known, *logged})
    )


def _of_images(content: Mapping[str, Any], metric: str, classes: Sequence[str] | None) -> Scores:
    names, cases = content['foreground'], content['cases']
    values = [[_number(cases[case][name][metric]) for name in names] for case in cases]
    conventions = {'unit': content['unit'], 'empty': content['conventions']['empty']}
    return _by_case(list(cases), names, np.array(values).reshape(len(cases), len(names)), conventions, classes)


def _by_case(
    cases: Sequence[str],
    names: Sequence[str],
    values: np.ndarray,
    conventions: Mapping[str, str],
    classes: Sequence[str] | None,
) -> Scores:
    chosen = list(names if classes is None else classes)
    for name in chosen:
        if name not in names:
            raise ConfigError(
                f'--classes {name}: the tests have the classes {", ".join(names)}.' + did_you_mean(name, names)
            )
    by_case = mean_of_defined(values[:, [list(names).index(name) for name in chosen]], axis=1)
    means = mean_of_defined(values, axis=0)
    return Scores(
        float(mean_of_defined(by_case, axis=0)),
        dict(zip(cases, by_case.tolist(), strict=True)),
        dict(zip(names, means.tolist(), strict=True)),
        dict(conventions),
    )


def _number(value: float | str | None) -> float:
    return math.nan if value is None else float(value)


def _read_json(path: Path) -> dict[str, Any]:
    try:
        return json.loads(path.read_text(encoding='utf-8'))
    except ValueError as error:
        raise ConfigError(f'{path} is damaged ({error}): remove {path.parent} and call the tool again') from error
