"""What a metric is worth where a mask is empty: one table for all metrics, changed by one argument.

==================  ==================  =====================================  ============================
state of the class  prediction, target  scores in 0..1                         distances in mm
==================  ==================  =====================================  ============================
``valid``           neither is empty    formula                                formula
``missed``          prediction empty    0                                      the grid's diagonal
``false_alarm``     target empty        0                                      the grid's diagonal
``empty``           both are empty      undefined: NaN, left out of means      undefined
==================  ==================  =====================================  ============================

This is the policy ``'strict'``, the default. Scores: Dice, IoU, F-beta, precision, recall, normalised surface Dice,
lesion-wise scores, panoptic quality. Distances: Hausdorff and average surface distances; no two points of a grid are
further apart than its diagonal. The other policies change single lines:

- ``'perfect'``: a class that is rightly absent is worth 1, or 0 mm;
- ``'infinite'``: one empty mask is an infinite distance, and so is every mean with it;
- ``'exclude'``: undefined in all three; a missed structure then leaves the mean, which only the counts beside it show.

Specificity and volumes need no rule: they follow their formulas in every state. The relative volume error is -1 for a
missed class and undefined without a target.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Literal

import numpy as np

from mmseg_medical.errors import did_you_mean

#: what prediction and target of a class can be; arrays of states hold indices into it
STATES = ('valid', 'missed', 'false_alarm', 'empty')

Worth = Literal['best', 'worst', 'infinite', 'undefined']
_WORTHS = ('best', 'worst', 'infinite', 'undefined')


@dataclass(frozen=True)
class EmptyPolicy:
    """Worth of a metric by the state of its masks.

    Attributes:
        missed (str): only the prediction is empty: ``'best'``, ``'worst'``, ``'infinite'`` (distances; scores take
            their worst value) or ``'undefined'``.
        false_alarm (str): only the target is empty, likewise.
        empty (str): both are, likewise.
    """

    missed: Worth = 'worst'
    false_alarm: Worth = 'worst'
    empty: Worth = 'undefined'

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if value not in _WORTHS:
                raise ValueError(f'{field.name} of the empty policy must be one of {_WORTHS}, got {value!r}')

    @classmethod
    def of(cls, policy: EmptyPolicy | str | Mapping[str, Any]) -> EmptyPolicy:
        """Look a policy up by its name, or make it from a config's dict.

        Raises:
            ValueError: there is no such name, key or value.
        """
        if isinstance(policy, EmptyPolicy):
            return policy
        if isinstance(policy, str):
            if policy not in EMPTY_POLICIES:
                raise ValueError(
                    f'empty must be one of {", ".join(EMPTY_POLICIES)}, got {policy!r}.'
                    + did_you_mean(policy, EMPTY_POLICIES)
                )
            return EMPTY_POLICIES[policy]
        unknown = set(policy) - {field.name for field in fields(cls)}
        if unknown:
            raise ValueError(f'an empty policy has missed, false_alarm and empty, got {", ".join(sorted(unknown))}')
        return cls(**policy)

    def fill(self, values: Any, states: Any, best: float, worst: float) -> np.ndarray:
        """Put the policy's values where a mask is empty.

        Args:
            values (array-like): shape (*B), float, from the formula.
            states (array-like): shape (*B), indices into :data:`STATES`.
            best (float): best value of the metric.
            worst (float): worst value; for distances the grid's diagonal in mm.

        Returns:
            np.ndarray: shape (*B), float64, NaN where undefined.
        """
        # A score, whose best value is the larger one, has no infinite value.
        infinite = math.inf if best < worst else worst
        worth = {'best': best, 'worst': worst, 'infinite': infinite, 'undefined': math.nan}
        states = np.asarray(states)
        filled = np.array(values, dtype=np.float64)
        for index, name in enumerate(STATES[1:], start=1):
            filled = np.where(states == index, worth[getattr(self, name)], filled)
        return filled

    def describe(self) -> str:
        """The policy in words, for files."""
        words = {
            'best': 'best value (1, or 0 mm)',
            'worst': 'worst value (0, or the diagonal of the grid in mm)',
            'infinite': '0, or an infinite distance',
            'undefined': 'undefined (null), left out of means',
        }
        lines = {'missed': 'only prediction empty', 'false_alarm': 'only target empty', 'empty': 'both empty'}
        return '; '.join(f'{text}: {words[getattr(self, name)]}' for name, text in lines.items())


EMPTY_POLICIES = {
    'strict': EmptyPolicy(),
    'perfect': EmptyPolicy(empty='best'),
    'infinite': EmptyPolicy(missed='infinite', false_alarm='infinite'),
    'exclude': EmptyPolicy(missed='undefined', false_alarm='undefined'),
}


def states_of(num_pred: Any, num_target: Any) -> np.ndarray:
    """State of each class from the sizes of its masks.

    Args:
        num_pred (array-like): shape (*B), predicted pixels.
        num_target (array-like): shape (*B), pixels of the target.

    Returns:
        np.ndarray: shape (*B), int8, indices into :data:`STATES`.

    Example:
        >>> [STATES[s] for s in states_of([1, 0, 1, 0], [1, 1, 0, 0])]
        ['valid', 'missed', 'false_alarm', 'empty']
    """
    no_pred, no_target = np.asarray(num_pred) == 0, np.asarray(num_target) == 0
    return (no_pred + 2 * no_target).astype(np.int8)
