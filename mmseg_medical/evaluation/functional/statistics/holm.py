"""Correction of p values for the number of tests."""

from __future__ import annotations

import numpy as np

from mmseg_medical.evaluation.functional.arrays import ArrayLike
from mmseg_medical.evaluation.functional.statistics.values import as_values


def holm(p_values: ArrayLike) -> np.ndarray:
    """Adjust the p values of a family of tests so that the chance of any false alarm keeps below the level.

    S. Holm, A simple sequentially rejective multiple test procedure, Scand. J. Stat. 6 (1979) 65-70: the smallest of K
    is multiplied by K, the next by K - 1, and so on; none may fall below its predecessor or rise above 1. It holds
    whatever the dependence between the tests.

    Args:
        p_values (np.ndarray | Tensor): shape (K,), in 0..1; NaN is a test that could not be done.

    Returns:
        np.ndarray: shape (K,), float64, in the order given; NaN stays NaN and does not count among the K.

    Raises:
        ValueError: a value is outside 0..1.
    """
    p = as_values(p_values, 'p_values')
    done = np.flatnonzero(~np.isnan(p))
    wrong = p[done][(p[done] < 0) | (p[done] > 1)]
    if wrong.size:
        raise ValueError(f'p_values must lie in 0..1, got {wrong[0]:g}')
    order = done[np.argsort(p[done], kind='stable')]
    adjusted = np.full(p.shape, np.nan)
    factors = np.arange(order.size, 0, -1)
    adjusted[order] = np.minimum(np.maximum.accumulate(p[order] * factors), 1)
    return adjusted
