"""Tables of cases with known numbers."""

from __future__ import annotations

import dataclasses

import numpy as np

from mmseg_medical.evaluation.table import CaseTable

METRICS = ('dice', 'hd95', 'nsd@1mm', 'volume_mm3', 'target_volume_mm3', 'relative_volume_error')
CONVENTIONS = {'empty': 'as documented', 'unit': 'millimetres'}
DIAGONAL = 300.0


def table(
    num_cases: int = 8, classes: tuple[str, ...] = ('a', 'b'), seed: int = 0, infinite: bool = False
) -> CaseTable:
    """Random cases; with four or more, the first one is missed, the second a false alarm, the third one empty."""
    generator = np.random.default_rng(seed)
    shape = num_cases, len(classes)
    dice = generator.uniform(0.5, 1, shape)
    target = generator.uniform(1e3, 1e5, shape)
    volume = target * generator.uniform(0.8, 1.2, shape)
    values = [dice, generator.uniform(1, 5, shape), dice**2, volume, target, volume / target - 1]
    states = np.zeros(shape, np.int8)
    if num_cases >= 4:
        worst = np.inf if infinite else DIAGONAL
        states[:3] = [[1], [2], [3]]
        for array, filled in zip(values, (0, worst, 0), strict=False):
            array[:2], array[2] = filled, np.nan
        volume[0] = volume[2] = target[1] = target[2] = 0
        values[5][:3] = [[-1], [np.nan], [np.nan]]
    names = tuple(f'case_{n}' for n in range(num_cases))
    return CaseTable(names, classes, METRICS, np.stack(values, -1), states, CONVENTIONS)


def shifted(of: CaseTable, dice: float) -> CaseTable:
    """The table of another method, whose valid cases have another Dice."""
    values = of.values.copy()
    values[..., 0] += np.where(of.states == 0, dice, 0)
    return dataclasses.replace(of, values=values)


def undefined(of: CaseTable, class_name: str) -> CaseTable:
    """The same without any value of a class, as if both masks were empty in every case."""
    k = of.classes.index(class_name)
    values, states = of.values.copy(), of.states.copy()
    values[:, k], states[:, k] = np.nan, 3
    values[:, k, 3:5] = 0
    return dataclasses.replace(of, values=values, states=states)
