"""Scores of all cases as one table, and what it says in sum."""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from mmseg_medical.errors import did_you_mean
from mmseg_medical.evaluation.cases import CaseScores
from mmseg_medical.evaluation.functional.empty import STATES
from mmseg_medical.evaluation.functional.overlap import mean_of_defined, mean_over_cases
from mmseg_medical.evaluation.functional.statistics import describe
from mmseg_medical.evaluation.json_files import file_head, json_ready
from mmseg_medical.evaluation.natural_order import natural_key
from mmseg_medical.evaluation.options import EvaluationOptions

FORMAT = 'mmseg_medical.cases/1'
#: metrics that are distances: 0 is the best
DISTANCES = ('hd', 'hd95', 'assd', 'masd')


@dataclass(frozen=True)
class CaseTable:
    """Metrics of every case and class.

    Attributes:
        case_ids (tuple[str, ...]): names of the N cases.
        classes (tuple[str, ...]): names of the K classes and regions.
        metrics (tuple[str, ...]): names of the M metrics.
        values (np.ndarray): shape (N, K, M), float64, NaN where undefined.
        states (np.ndarray): shape (N, K), int8, indices into
            :data:`~mmseg_medical.evaluation.functional.empty.STATES`.
        conventions (dict[str, str]): what the numbers mean.
    """

    case_ids: tuple[str, ...]
    classes: tuple[str, ...]
    metrics: tuple[str, ...]
    values: np.ndarray = field(repr=False)
    states: np.ndarray = field(repr=False)
    conventions: dict[str, str] = field(repr=False)

    @classmethod
    def from_cases(cls, cases: Sequence[CaseScores], options: EvaluationOptions) -> CaseTable:
        """Collect cases, in natural order of their names.

        Raises:
            ValueError: there are none, two have one name, or some have a spacing and others do not.
        """
        if not cases:
            raise ValueError('there are no cases to summarise')
        cases = sorted(cases, key=lambda case: natural_key(case.case_id))
        names = [case.case_id for case in cases]
        twice = {name for name, following in itertools.pairwise(names) if name == following}
        if twice:
            raise ValueError(f'two cases have the name {min(twice)!r}')
        units = {case.unit: case.case_id for case in cases}
        if len(units) > 1:
            raise ValueError(
                f'the case {units["mm"]!r} has a spacing and {units["px"]!r} has none: give all cases one, or none'
            )
        metrics = tuple(cases[0].values)
        return cls(
            tuple(names),
            tuple(options.classes),
            metrics,
            np.stack([np.stack([case.values[name] for name in metrics], axis=1) for case in cases]),
            np.stack([case.states for case in cases]),
            options.conventions(cases[0].unit),
        )

    def select(self, case_ids: Sequence[str]) -> CaseTable:
        """Take some cases, in the order given."""
        index = {case: number for number, case in enumerate(self.case_ids)}
        rows = [index[case] for case in case_ids]
        return replace(self, case_ids=tuple(case_ids), values=self.values[rows], states=self.states[rows])

    def unit_of(self, metric: str) -> str:
        """Unit of a metric, for labels; nothing for scores."""
        unit = 'px' if 'volume_px' in self.metrics else 'mm'
        if metric in DISTANCES:
            return unit
        return {'volume_mm3': 'mm³', 'volume_px': 'px'}.get(metric.removeprefix('target_'), '')

    def column(self, class_name: str, metric: str) -> np.ndarray:
        """Values of one metric of one class: shape (N,), NaN where undefined.

        Raises:
            ValueError: there is no such class or metric.
        """
        return self.values[:, _index(self.classes, class_name, 'class'), _index(self.metrics, metric, 'metric')]

    def case_scores(self, metric: str = 'dice') -> np.ndarray:
        """Mean of a metric over the classes of each case in which it is defined: shape (N,)."""
        return mean_of_defined(np.stack([self.column(name, metric) for name in self.classes]), axis=0)

    def state_column(self, class_name: str) -> np.ndarray:
        """States of one class: shape (N,)."""
        return self.states[:, _index(self.classes, class_name, 'class')]

    def summary(self) -> dict[str, dict[str, dict[str, float | int]]]:
        """Describe each metric of each class over the cases.

        Returns:
            dict: class -> metric -> ``mean median std ci_low ci_high`` of the defined values (NaN where there are
            none) and ``n_cases n_defined n_valid n_missed n_false_alarm n_empty``.
        """
        return self._summary

    @cached_property
    def _summary(self) -> dict[str, dict[str, dict[str, float | int]]]:
        result: dict[str, dict[str, dict[str, float | int]]] = {}
        for name in self.classes:
            result[name] = {}
            for metric in self.metrics:
                values = self.column(name, metric)
                counts = mean_over_cases(values, self.state_column(name)).to_dict()
                of_defined = asdict(describe(values[~np.isnan(values)]))
                result[name][metric] = {key: v for key, v in of_defined.items() if key != 'n'} | {
                    key: count for key, count in counts.items() if key.startswith('n_')
                }
        return result

    def to_dict(self) -> dict[str, Any]:
        """Content of ``metrics.json``: undefined numbers are None, infinite ones the texts ``inf`` and ``-inf``."""
        content = {
            **file_head(FORMAT),
            'conventions': self.conventions,
            'classes': list(self.classes),
            'metrics': list(self.metrics),
            'cases': {
                case: {
                    name: dict(zip(self.metrics, self.values[n, k].tolist(), strict=True))
                    for k, name in enumerate(self.classes)
                }
                for n, case in enumerate(self.case_ids)
            },
            'states': {
                case: {name: STATES[self.states[n, k]] for k, name in enumerate(self.classes)}
                for n, case in enumerate(self.case_ids)
            },
            'summary': self.summary(),
        }
        return json_ready(content)

    @classmethod
    def from_dict(cls, content: dict[str, Any]) -> CaseTable:
        """Read what :meth:`to_dict` wrote.

        Raises:
            ValueError: it is something else.
        """
        if content.get('format') != FORMAT:
            raise ValueError(f'expected the format {FORMAT!r} of metrics.json, got {content.get("format")!r}')
        cases, classes, metrics = content['cases'], content['classes'], content['metrics']
        values = [[[_read(cases[case][name][metric]) for metric in metrics] for name in classes] for case in cases]
        states = [[STATES.index(content['states'][case][name]) for name in classes] for case in cases]
        return cls(
            tuple(cases),
            tuple(classes),
            tuple(metrics),
            np.array(values, np.float64).reshape(len(cases), len(classes), len(metrics)),
            np.array(states, np.int8).reshape(len(cases), len(classes)),
            dict(content['conventions']),
        )

    @classmethod
    def load(cls, path: str | Path) -> CaseTable:
        """Read a ``metrics.json``.

        Raises:
            ValueError: the file holds something else; the message names it.
        """
        try:
            return cls.from_dict(json.loads(Path(path).read_text(encoding='utf-8')))
        except (KeyError, ValueError) as error:
            raise ValueError(f'{path}: {error}') from error

    def rows(self) -> list[list[str]]:
        """Rows of ``cases.csv``, one a case and class, a head first; undefined numbers are empty."""
        body = [
            [case, name, STATES[self.states[n, k]], *(csv_cell(v) for v in self.values[n, k])]
            for n, case in enumerate(self.case_ids)
            for k, name in enumerate(self.classes)
        ]
        return [['case', 'class', 'state', *self.metrics], *body]


def headline_metrics(metrics: Iterable[str]) -> list[str]:
    """Those shown where there is no room for all: Dice, HD95 and the surface Dice."""
    return [metric for metric in metrics if metric in ('dice', 'hd95') or metric.startswith('nsd@')]


def higher_is_better(metric: str) -> bool | None:
    """Whether larger values of a metric are better; None for volumes and their errors, which have a best value inside.

    Example:
        >>> higher_is_better('dice'), higher_is_better('hd95'), higher_is_better('volume_mm3')
        (True, False, None)
    """
    if 'volume' in metric:
        return None
    return metric not in DISTANCES


def _index(names: tuple[str, ...], name: str, what: str) -> int:
    if name not in names:
        raise ValueError(
            f'there is no {what} {name!r} in the table, it has {", ".join(names)}.{did_you_mean(name, names)}'
        )
    return names.index(name)


def csv_cell(value: float) -> str:
    """A number in a file of comma-separated values, nothing where it is undefined."""
    return '' if math.isnan(value) else f'{value:.6g}'


def _read(value: float | str | None) -> float:
    return math.nan if value is None else float(value)
