"""Values of several methods on the same cases."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from mmseg_medical.evaluation.functional.arrays import ArrayLike
from mmseg_medical.evaluation.functional.statistics.values import as_values


def checked_methods(values: Mapping[str, ArrayLike]) -> tuple[tuple[str, ...], np.ndarray]:
    """Read the values of several methods.

    Args:
        values (Mapping[str, np.ndarray | Tensor]): method -> shape (N,), the same cases in the same order.

    Returns:
        tuple[tuple[str, ...], np.ndarray]: the M names, and float64 values of shape (M, N).

    Raises:
        ValueError: there are fewer than two methods, or their lengths differ.
    """
    if len(values) < 2:
        raise ValueError(f'a comparison needs two methods or more, got {len(values)}: {", ".join(values) or "none"}')
    rows = {name: as_values(row, name) for name, row in values.items()}
    if len({row.size for row in rows.values()}) > 1:
        lengths = ', '.join(f'{name}: {row.size}' for name, row in rows.items())
        raise ValueError(f'the methods must have values of the same cases in the same order, got numbers {lengths}')
    return tuple(rows), np.stack(list(rows.values()))
