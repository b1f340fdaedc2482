"""All cases of a data set, by several processes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from mmseg_medical.datasets.fingerprint.case import CaseRecord, Expected, measure_case
from mmseg_medical.processes import Outcome, attempt, share


def measure_cases(
    entries: Sequence[Mapping[str, Any]],
    expected: Expected,
    jobs: int = 1,
    advance: Callable[[], None] = lambda: None,
) -> tuple[list[CaseRecord], dict[str, str]]:
    """Measure every case; one that cannot be read does not keep the others from it.

    Args:
        entries (Sequence[Mapping]): Of a data set.
        expected (Expected): What all cases should be like.
        jobs (int): Processes; 1 works in this one.
        advance (Callable): Called after each case.

    Returns:
        tuple[list[CaseRecord], dict[str, str]]: What was measured, in the order of the entries, and of the cases that
        could not be: case -> why.

    Raises:
        ImportError: A package that reads the files is not installed.
    """
    outcomes: list[Outcome[CaseRecord] | None] = [None] * len(entries)
    measure = partial(measure_case, expected=expected)

    def done(number: int, outcome: Outcome[CaseRecord]) -> None:
        if outcome.missing_package:  # every other case would fail too
            raise ImportError(outcome.error)
        outcomes[number] = outcome
        advance()

    plain = [dict(entry) for entry in entries]
    if jobs > 1:
        share(plain, measure, jobs, done)
    else:
        for number, entry in enumerate(plain):
            done(number, attempt(measure, entry))
    records, failures = [], {}
    for entry, outcome in zip(plain, outcomes, strict=True):
        if outcome is not None and outcome.result is not None:
            records.append(outcome.result)
        elif outcome is not None:
            failures[str(entry['case_id'])] = str(outcome.error)
    return records, failures
