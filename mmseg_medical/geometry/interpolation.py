"""Interpolation along the axes of an array, one after the other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

AxisOrder = Literal['nearest', 'linear', 'cubic']
# Values made at a time: they stay in the cache, and no second copy of the image is needed.
_BLOCK = 1 << 16


@dataclass(frozen=True)
class AxisTaps:
    """Which voxels of a line make which.

    Attributes:
        indices (np.ndarray): shape (T, M): T voxels of the old line for each of M of the new one.
        weights (np.ndarray | None): shape (T, M), float64; None where T is 1.
        growth (float): Length of the whole new line by that of the old one.
    """

    indices: np.ndarray
    weights: np.ndarray | None
    growth: float

    @property
    def extent(self) -> tuple[int, int]:
        """First and behind the last voxel of the old line that is used."""
        return int(self.indices.min()), int(self.indices.max()) + 1


def axis_taps(old: int, new: int, order: AxisOrder, start: int, stop: int) -> AxisTaps:
    """Say how voxels ``start`` to ``stop`` of ``new`` are made of ``old`` ones over the same length.

    The ends of both lines coincide, not the centres of the outer voxels: voxel t lies at (t + 1/2) old/new - 1/2.
    Beyond the outer centres the outer value goes on. Places are counted in whole numbers, so that none is lost to
    rounding. A centre half-way between two voxels goes to the upper one.
    """
    # place = numerator / (2 * new)
    numerator = (2 * np.arange(start, stop, dtype=np.int64) + 1) * old - new
    if order == 'nearest':
        return AxisTaps(((numerator + new) // (2 * new))[None], None, new / old)
    if order == 'linear':
        numerator = numerator.clip(0, 2 * new * (old - 1))
    below, remainder = np.divmod(numerator, 2 * new)
    share = remainder / (2 * new)
    if order == 'linear':
        indices = np.stack([below, np.minimum(below + 1, old - 1)])
        return AxisTaps(indices, np.stack([1 - share, share]), new / old)
    indices = (below + np.arange(-1, 3)[:, None]).clip(0, old - 1)
    return AxisTaps(indices, _cubic_weights(share), new / old)


def interpolate(array: np.ndarray, taps: Sequence[AxisTaps | None], first: Sequence[int]) -> np.ndarray:
    """Interpolate the last axes of an array.

    Args:
        array (np.ndarray): shape (*lead, *S), floating wherever taps have weights.
        taps (Sequence[AxisTaps | None]): For each axis of S, in voxels of a whole line; None leaves it as it is.
        first (Sequence[int]): For each axis of S, the voxel of the whole line with which the array begins.

    Returns:
        np.ndarray: shape (*lead, *new size), same dtype. Memory beside both arrays: at most one more result.
    """
    lead = array.ndim - len(taps)
    # what shrinks most comes first; by the whole lines, so that a part of an image gets the values of the whole
    for axis in np.argsort([1.0 if tap is None else tap.growth for tap in taps], kind='stable'):
        tap = taps[axis]
        if tap is not None:
            array = _along(array, lead + int(axis), tap, first[axis])
    return array


def _along(array: np.ndarray, axis: int, taps: AxisTaps, first: int) -> np.ndarray:
    before, after = array.shape[:axis], array.shape[axis + 1 :]
    count = taps.indices.shape[1]
    lines = np.ascontiguousarray(array).reshape(int(np.prod(before)), array.shape[axis], int(np.prod(after)))
    result = np.empty((len(lines), count, lines.shape[2]), array.dtype)
    indices = taps.indices - first
    weights = None if taps.weights is None else taps.weights.astype(array.dtype)[..., None]
    inner = max(1, min(count, _BLOCK // max(lines.shape[2], 1)))
    outer = max(1, _BLOCK // max(inner * lines.shape[2], 1))
    for i in range(0, len(lines), outer):
        for j in range(0, count, inner):
            part = slice(j, j + inner)
            block = _weighted(lines[i : i + outer], indices[:, part], None if weights is None else weights[:, part])
            result[i : i + outer, part] = block
    return result.reshape(*before, count, *after)


def _weighted(lines: np.ndarray, indices: np.ndarray, weights: np.ndarray | None) -> np.ndarray:
    if weights is None:
        return lines.take(indices[0], axis=1)
    if len(indices) == 2:  # as a step from the lower value: exact where both are equal
        low, value = lines.take(indices[0], axis=1), lines.take(indices[1], axis=1)
        value -= low
        value *= weights[1]
        value += low
        return value
    value = lines.take(indices[0], axis=1) * weights[0]
    for index, weight in zip(indices[1:], weights[1:], strict=True):
        value += lines.take(index, axis=1) * weight
    return value


def _cubic_weights(share: np.ndarray) -> np.ndarray:
    """Cubic convolution with a = -1/2, third-order exact (Keys 1981, doi:10.1109/TASSP.1981.1163711)."""
    s = share
    return np.stack(
        [
            -0.5 * s + s**2 - 0.5 * s**3,
            1 - 2.5 * s**2 + 1.5 * s**3,
            0.5 * s + 2 * s**2 - 1.5 * s**3,
            -0.5 * s**2 + 0.5 * s**3,
        ]
    )
