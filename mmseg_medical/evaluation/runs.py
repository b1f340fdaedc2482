"""Runs of one method, such as trainings from several seeds, as one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from mmseg_medical.evaluation.functional.empty import STATES
from mmseg_medical.evaluation.functional.overlap import mean_of_defined
from mmseg_medical.evaluation.table import CaseTable


def average_runs(tables: Sequence[CaseTable]) -> CaseTable:
    """Average the runs of a method case by case.

    Args:
        tables (Sequence[CaseTable]): of R runs, the same cases, classes and metrics in the same order.

    Returns:
        CaseTable: each value is the mean over the runs in which it is defined. The state is ``missed`` or
        ``false_alarm`` if it is so in any run; the target, which they share, decides which of the two can be.
    """
    if len(tables) == 1:
        return tables[0]
    states = np.stack([table.states for table in tables])
    wrong = (states == STATES.index('missed')) | (states == STATES.index('false_alarm'))
    worst = np.where(wrong.any(axis=0), np.where(wrong, states, 0).max(axis=0), states[0])
    return replace(
        tables[0], values=mean_of_defined(np.stack([table.values for table in tables]), axis=0), states=worst
    )


def run_means(tables: Sequence[CaseTable], class_name: str, metric: str) -> np.ndarray:
    """Mean of a metric over the cases of each run in which it is defined: shape (R,), NaN where there are none."""
    return np.array([float(mean_of_defined(table.column(class_name, metric), axis=0)) for table in tables])
