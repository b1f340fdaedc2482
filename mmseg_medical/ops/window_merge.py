"""Overlapping windows over an image or volume, and the merge of what a network says about each."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import torch
from torch import Tensor


def sliding_windows(size: Sequence[int], window: Sequence[int], stride: Sequence[int]) -> list[tuple[slice, ...]]:
    """Windows that cover a grid; the last one of an axis is moved back to end at the border.

    Args:
        size: lengths S of the grid's axes.
        window: lengths of a window; one longer than the grid is cut to it.
        stride: steps between windows, 1 <= stride <= window.

    Returns:
        One tuple of slices a window, in row-major order.

    Raises:
        ValueError: lengths of different rank, or a stride that would leave gaps.

    Example:
        >>> [(y.start, y.stop) for y, in sliding_windows((10,), (4,), (3,))]
        [(0, 4), (3, 7), (6, 10)]
    """
    if not len(size) == len(window) == len(stride):
        raise ValueError(f'size {tuple(size)}, window {tuple(window)} and stride {tuple(stride)} differ in rank')
    axes = []
    for length, extent, step in zip(size, window, stride, strict=True):
        if not 1 <= step <= extent:
            raise ValueError(f'stride {tuple(stride)} must lie between 1 and the window {tuple(window)}')
        extent = min(extent, length)
        starts = [*range(0, length - extent, step), length - extent]
        axes.append([slice(start, start + extent) for start in starts])
    return list(itertools.product(*axes))


class WindowMerger:
    """Weighted mean of overlapping windows; touches only the window's part of the canvas.

    Args:
        shape: (N, C, *S) of the result.
        weights: ``'constant'``, or ``'gaussian'`` with a standard deviation of an eighth of the window, which
            trusts a window's centre more than its border (as nnU-Net does, Isensee et al. 2021,
            doi:10.1038/s41592-020-01008-z).
        dtype: of the sums.
        device: of the sums.
    """

    def __init__(
        self,
        shape: Sequence[int],
        *,
        weights: str = 'constant',
        dtype: torch.dtype = torch.float32,
        device: torch.device | str = 'cpu',
    ) -> None:
        if weights not in ('constant', 'gaussian'):
            raise ValueError(f"weights={weights!r} is unknown; choose 'constant' or 'gaussian'")
        self.weights = weights
        self._sum = torch.zeros(tuple(shape), dtype=dtype, device=device)
        self._weight = torch.zeros(tuple(shape[2:]), dtype=dtype, device=device)
        self._importance: dict[tuple[int, ...], Tensor] = {}

    def add(self, values: Tensor, window: tuple[slice, ...]) -> None:
        """Add a window's values, shape (N, C, *window)."""
        importance = self._importance_of(tuple(values.shape[2:]))
        index = (slice(None), slice(None), *window)
        self._sum[index] += values.to(self._sum.dtype) * importance
        self._weight[window] += importance

    def result(self) -> Tensor:
        """The merged values, shape (N, C, *S).

        Raises:
            ValueError: some point lies in no window.
        """
        if not bool((self._weight > 0).all()):
            raise ValueError('the windows added so far leave points uncovered')
        return self._sum.div_(self._weight)

    def _importance_of(self, window: tuple[int, ...]) -> Tensor:
        if window not in self._importance:
            importance = torch.ones(window, dtype=self._sum.dtype, device=self._sum.device)
            if self.weights == 'gaussian':
                for axis, length in enumerate(window):
                    position = torch.arange(length, dtype=self._sum.dtype, device=self._sum.device)
                    bell = torch.exp(-0.5 * ((position - (length - 1) / 2) / (length / 8)) ** 2)
                    importance *= bell.reshape([-1 if a == axis else 1 for a in range(len(window))])
            self._importance[window] = importance
        return self._importance[window]
