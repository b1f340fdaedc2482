"""Weighted mean of overlapping windows that never holds more than a slab of the image."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor

from mmseg_medical.ops.window_grid import window_weights

# Finished rows are handed on in parts of about this size, so that what is made of them stays small; and classes are
# weighted in groups of about this size, or one by one. Not smaller: each step is a call, and while other processes are
# busy the threads of many short calls wait for each other longer than they work.
PART_BYTES = 2**27
GROUP_BYTES = 2**26
# Along the last axis rows lie side by side: a cache line's worth at a time.
LAST_AXIS_ROWS = 16


class SlabMerger:
    """Merges windows that arrive in order along one axis of the image.

    Sums and weights are kept for as many rows of that axis as a window is long. They lie in a ring: row r of the image
    at r modulo the window's length. Rows that no later window touches are divided by their weights, handed to
    ``write`` and cleared. Each point sees the same additions in the same order as in a buffer of the whole image, so
    the result is the same to the last bit.

    Args:
        size: lengths S of the image's axes.
        window: lengths of a window; where longer than the image, the image lies in its middle.
        num_classes: number K of channels.
        axis: the one along which windows arrive in order; "rows" are counted along it.
        weights: ``'constant'`` or ``'gaussian'``, see :func:`window_weights`.
        write: called with the rows and their merged scores (K, *S but for these rows), a view that is valid during the
            call only.
        background: K scores of points to which no window was added; None: every point gets one.
        inside: part of a window that holds image; None: see :func:`image_in_window`.
        device: of the slab.
    """

    def __init__(
        self,
        size: Sequence[int],
        window: Sequence[int],
        num_classes: int,
        *,
        axis: int,
        weights: str,
        write: Callable[[slice, Tensor], None],
        background: Sequence[float] | None = None,
        inside: tuple[slice, ...] | None = None,
        device: torch.device | str = 'cpu',
    ) -> None:
        self._axis, self._write, self._background = axis, write, background
        self._rows, self._length = size[axis], min(window[axis], size[axis])
        slab = [self._length if a == axis else n for a, n in enumerate(size)]
        self._sums = torch.zeros((num_classes, *slab), device=device)
        self._weights = torch.zeros(slab, device=device)
        self.inside = image_in_window(size, window) if inside is None else inside
        self._importance = window_weights(window, weights)[self.inside].to(device)
        self._group = class_group(window, num_classes)
        grouped = (self._group, *self._importance.shape)
        self._weighted = None if weights == 'constant' else torch.empty(grouped, device=device)
        self._part = part_rows(slab, num_classes, axis)
        self._first = 0

    def add(self, scores: Tensor, window: tuple[slice, ...]) -> None:
        """Add a window.

        Args:
            scores: shape (K, *window) of the full window, any float type; summed in float32.
            window: its place in the image, not before that of an earlier call along the axis.
        """
        if window[self._axis].start > self._first:
            self._finish(window[self._axis].start)
        scores = scores[(slice(None), *self.inside)]
        for part, place in self._parts(window):
            importance = self._importance[part]
            for classes in range(0, len(scores), self._group):
                group = slice(classes, classes + self._group)
                values = scores[(group, *part)]
                if self._weighted is not None:
                    # multiplied, then added: fused they would be rounded once, on some processors and shapes only
                    out = self._weighted[(slice(len(values)), *part)]
                    values = torch.mul(values, importance, out=out)
                self._sums[(group, *place)].add_(values)
            self._weights[place].add_(importance)

    def close(self) -> None:
        """Hand on the rows that are left."""
        self._finish(self._rows)

    def _parts(self, window: tuple[slice, ...]) -> Iterator[tuple[tuple[slice, ...], tuple[slice, ...]]]:
        """Parts of a window with their places in the ring: two where it crosses the ring's end."""
        axis, length = self._axis, self._length
        turn = length - window[axis].start % length
        for source, target in (
            (slice(0, turn), slice(length - turn, length)),
            (slice(turn, length), slice(0, length - turn)),
        ):
            if target.start < target.stop:
                part = (*(slice(None),) * axis, source)
                yield part, (*window[:axis], target, *window[axis + 1 :])

    def _finish(self, stop: int) -> None:
        """Hand on the rows before ``stop``."""
        while self._first < stop:
            place = self._first % self._length
            count = min(self._part, stop - self._first, self._length - place)
            index = (*(slice(None),) * self._axis, slice(place, place + count))
            scores, weights = self._sums[(slice(None), *index)], self._weights[index]
            scores /= weights
            if self._background is not None:
                bare = weights == 0
                for values, score in zip(scores, self._background, strict=True):
                    values.masked_fill_(bare, score)
            self._write(slice(self._first, self._first + count), scores)
            scores.zero_()
            weights.zero_()
            self._first += count


def slab_axis(size: Sequence[int], window: Sequence[int]) -> int:
    """Axis along which a slab as long as the window is the smallest part of the image."""
    return min(range(len(size)), key=lambda axis: min(1.0, window[axis] / size[axis]))


def class_group(window: Sequence[int], num_classes: int) -> int:
    """Number of classes that are weighted at a time."""
    return min(num_classes, max(1, GROUP_BYTES // (4 * math.prod(window))))


def part_rows(slab: Sequence[int], num_classes: int, axis: int) -> int:
    """Number of finished rows of a slab that are handed on at a time, at most all."""
    row_bytes = 4 * num_classes * math.prod(slab) // slab[axis]
    least = LAST_AXIS_ROWS if axis == len(slab) - 1 else 1
    return min(slab[axis], max(PART_BYTES // row_bytes, least))


def image_in_window(size: Sequence[int], window: Sequence[int]) -> tuple[slice, ...]:
    """Part of a window that holds image: the middle where the window is longer than the image, else all of it."""
    return tuple(slice(max(0, w - n) // 2, max(0, w - n) // 2 + min(w, n)) for n, w in zip(size, window, strict=True))
