"""Where overlapping windows lie on a grid, and what their points weigh."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import torch
from torch import Tensor


def sliding_windows(
    size: Sequence[int], window: Sequence[int], stride: Sequence[int], *, slowest_axis: int = 0
) -> list[tuple[slice, ...]]:
    """Windows that cover a grid; the last one of an axis is moved back to end at the border.

    Args:
        size: lengths S of the grid's axes.
        window: lengths of a window; one longer than the grid is cut to it.
        stride: steps between windows, 1 <= stride <= window.
        slowest_axis: axis along which windows advance last; the others follow in row-major order.

    Returns:
        One tuple of slices a window, in row-major order unless ``slowest_axis`` says otherwise.

    Raises:
        ValueError: lengths of different rank, an empty grid, or a stride that would leave gaps.

    Example:
        >>> [(y.start, y.stop) for y, in sliding_windows((10,), (4,), (3,))]
        [(0, 4), (3, 7), (6, 10)]
    """
    if not len(size) == len(window) == len(stride):
        raise ValueError(f'size {tuple(size)}, window {tuple(window)} and stride {tuple(stride)} differ in rank')
    if min(size, default=0) < 1:
        raise ValueError(f'an image of size {tuple(size)} holds no points')
    axes = []
    for length, extent, step in zip(size, window, stride, strict=True):
        if not 1 <= step <= extent:
            raise ValueError(f'stride {tuple(stride)} must lie between 1 and the window {tuple(window)}')
        extent = min(extent, length)
        starts = [*range(0, length - extent, step), length - extent]
        axes.append([slice(start, start + extent) for start in starts])
    axes.insert(0, axes.pop(slowest_axis))
    windows = []
    for slowest, *others in itertools.product(*axes):
        others.insert(slowest_axis, slowest)
        windows.append(tuple(others))
    return windows


def overlap_stride(window: Sequence[int], overlap: float | Sequence[float]) -> tuple[int, ...]:
    """Steps between windows that share at least a fraction of their length.

    Args:
        window: lengths of a window.
        overlap: fraction in [0, 1), one or one an axis.

    Raises:
        ValueError: an overlap outside [0, 1), or one of another rank.

    Example:
        >>> overlap_stride((96, 64, 5), 0.5)
        (48, 32, 2)
    """
    overlaps = tuple(overlap) if isinstance(overlap, Sequence) else (overlap,) * len(window)
    if len(overlaps) != len(window) or not all(0 <= part < 1 for part in overlaps):
        raise ValueError(f'overlap must be one number in [0, 1), or one for each of {len(window)} axes, got {overlap}')
    # 30 * (1 - 0.9) is 2.9999999999999996
    return tuple(max(1, math.floor(n * (1 - part) + 1e-6)) for n, part in zip(window, overlaps, strict=True))


def window_weights(window: Sequence[int], kind: str) -> Tensor:
    """What each point of a window counts for in a mean over windows.

    Args:
        window: lengths of a window.
        kind: ``'constant'``, or ``'gaussian'`` with a standard deviation of an eighth of the window, which trusts a
            window's centre more than its border (as nnU-Net does, Isensee et al. 2021,
            doi:10.1038/s41592-020-01008-z). It falls to exp(-8) along an axis, so that a float32 holds the product
            of up to ten axes without being zero.

    Returns:
        float32, shape ``window``, on the CPU, > 0.

    Raises:
        ValueError: ``kind`` is unknown.
    """
    if kind not in ('constant', 'gaussian'):
        raise ValueError(f"weights={kind!r} is unknown; choose 'constant' or 'gaussian'")
    weights = torch.ones(tuple(window), dtype=torch.float64)
    if kind == 'gaussian':
        for axis, length in enumerate(window):
            distance = torch.arange(length, dtype=torch.float64) - (length - 1) / 2
            bell = torch.exp(-0.5 * (distance / (length / 8)) ** 2)
            weights *= bell.reshape([-1 if a == axis else 1 for a in range(len(window))])
    return weights.float()
