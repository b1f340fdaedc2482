"""A network goes over an image of any rank, window by window; see docs/sliding_window.md."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from mmseg_medical.ops.slab_merger import SlabMerger, image_in_window, slab_axis
from mmseg_medical.ops.window_grid import overlap_stride, sliding_windows


@torch.no_grad()
def slide_windows(
    forward: Callable[..., Tensor],
    image: Tensor,
    *,
    num_classes: int,
    window: Sequence[int],
    overlap: float | Sequence[float] = 0.5,
    stride: Sequence[int] | None = None,
    weights: str = 'gaussian',
    batch_size: int = 1,
    decide: Callable[[Tensor], Tensor] | None = None,
    skip: Callable[[Tensor], bool] | None = None,
    background: Sequence[float] | None = None,
    pad_value: float = 0.0,
    axis: int | None = None,
    places: bool = False,
    scale: Sequence[int] | None = None,
    device: torch.device | str | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Tensor:
    """Weighted mean of what a network says about overlapping windows, without gradients.

    The merge holds a slab of scores, as long as a window along one axis; with ``decide`` the scores of the whole image
    never exist. The result equals that of a buffer of the whole image to the last bit.

    Args:
        forward: maps windows (B, C, *window), B <= ``batch_size``, to scores (B, K, *window); any float type, summed
            in float32. The tensor it gets is overwritten after it returns.
        image: shape (C, *S).
        num_classes: number K of channels of the scores.
        window: lengths of a window. Where one is longer than the image, the network sees the image in the middle of
            ``pad_value``, and the border is cut off its scores.
        overlap: fraction of a window that neighbours share at least, one or one an axis.
        stride: steps between windows, instead of ``overlap``.
        weights: ``'gaussian'`` or ``'constant'``, see :func:`~mmseg_medical.ops.window_grid.window_weights`.
        batch_size: largest number of windows in a batch.
        decide: maps merged scores (K, *R) of a part R of the image to what is kept, (D, *R), for example
            :func:`~mmseg_medical.ops.argmax_labels`; it may work in place. None keeps the scores.
        skip: says of a window's part of the image, (C, *part), that the network need not see it (air). Such a window
            adds nothing to the mean. Needs ``background``.
        background: K scores of the points that lie in skipped windows only, such as (1, 0, 0) for probabilities or
            (0, -30, -30) for logits.
        pad_value: around images smaller than the window.
        axis: of the slab; default: the one with the least memory, of equal ones the first.
        places: ``forward`` also gets where the windows begin, a list of B tuples with the first point along each axis,
            negative where the window is longer than the image.
        scale: along each axis, how many scores a point has: those of a window have the shape (B, K, *scale * window),
            the result is on a grid that many times as fine.
        device: of the windows and the slab; default: the image's.
        progress: called with the number of windows done and of all.

    Returns:
        Scores (K, *S) in float32, or decisions (D, *S), on the image's device; S times ``scale`` where there is one.

    Raises:
        ValueError: arguments that contradict each other or the image; scores or decisions of another shape.

    Example:
        >>> from mmseg_medical.ops import argmax_labels
        >>> image = torch.arange(10.0).reshape(1, 10)
        >>> slide_windows(lambda x: torch.cat((-x, x), 1), image, num_classes=2, window=(4,), decide=argmax_labels)
        tensor([[0, 1, 1, 1, 1, 1, 1, 1, 1, 1]], dtype=torch.uint8)
    """
    size = tuple(image.shape[1:])
    scale = (1,) * len(size) if scale is None else tuple(scale)
    _check(size, window, scale, num_classes, batch_size, skip, background)
    axis = slab_axis(size, window) if axis is None else range(len(size))[axis]
    windows = sliding_windows(size, window, stride or overlap_stride(window, overlap), slowest_axis=axis)
    device = image.device if device is None else torch.device(device)
    fine_size, fine_window = ([n * s for n, s in zip(lengths, scale, strict=True)] for lengths in (size, window))
    result = _Result(fine_size, axis, decide, image.device)
    merger = SlabMerger(
        fine_size,
        fine_window,
        num_classes,
        axis=axis,
        weights=weights,
        write=result.write,
        background=None if skip is None else background,
        inside=_scaled(image_in_window(size, window), scale),
        device=device,
    )
    batch = _Batch(image, window, min(batch_size, len(windows)), pad_value, device)
    located = forward if places else lambda inputs, starts: forward(inputs)
    for number, place in enumerate(windows, 1):
        part = image[(slice(None), *place)]
        if skip is None or not skip(part):
            batch.append(part, place)
        if batch.full or number == len(windows):
            _merge(batch, located, merger, scale, (num_classes, *fine_window))
            if progress is not None:
                progress(number, len(windows))
    merger.close()
    return result.values


class _Batch:
    """Windows on their way to the network, in memory that every batch uses again."""

    def __init__(
        self, image: Tensor, window: Sequence[int], batch_size: int, pad_value: float, device: torch.device
    ) -> None:
        self.places: list[tuple[slice, ...]] = []
        self._inputs = torch.empty((batch_size, image.shape[0], *window), dtype=image.dtype, device=device)
        self._inside = (slice(None), *image_in_window(image.shape[1:], window))
        self._padded = any(w > n for n, w in zip(image.shape[1:], window, strict=True))
        self._pad_value = pad_value

    @property
    def starts(self) -> list[tuple[int, ...]]:
        """First point of each window in the image."""
        first = [part.start for part in self._inside[1:]]
        return [tuple(at.start - before for at, before in zip(place, first, strict=True)) for place in self.places]

    @property
    def inputs(self) -> Tensor:
        return self._inputs[: len(self.places)]

    @property
    def full(self) -> bool:
        return len(self.places) == len(self._inputs)

    def append(self, part: Tensor, place: tuple[slice, ...]) -> None:
        target = self._inputs[len(self.places)]
        if self._padded:  # anew for each window: a network may have written to its input
            target.fill_(self._pad_value)
        target[self._inside] = part
        self.places.append(place)


class _Result:
    """What is kept of the image, made when the first decision says of which type and how many channels it is."""

    def __init__(
        self, size: Sequence[int], axis: int, decide: Callable[[Tensor], Tensor] | None, device: torch.device
    ) -> None:
        self.values = torch.empty(0)
        self._size, self._axis, self._decide, self._device = size, axis, decide, device

    def write(self, rows: slice, scores: Tensor) -> None:
        decided = scores if self._decide is None else self._decide(scores)
        if decided.shape[1:] != scores.shape[1:]:
            raise ValueError(
                f'decide must keep the axes after the first: it made {tuple(decided.shape)} of {tuple(scores.shape)}'
            )
        if rows.start == 0:
            self.values = torch.empty((len(decided), *self._size), dtype=decided.dtype, device=self._device)
        self.values[(slice(None),) * (1 + self._axis) + (rows,)] = decided


def _merge(
    batch: _Batch, forward: Callable[..., Tensor], merger: SlabMerger, scale: Sequence[int], shape: tuple[int, ...]
) -> None:
    if not batch.places:
        return
    scores = forward(batch.inputs, batch.starts)
    wanted = (len(batch.places), *shape)
    if tuple(scores.shape) != wanted:
        raise ValueError(f'the network must give scores of shape {wanted} for these windows, got {tuple(scores.shape)}')
    for values, place in zip(scores, batch.places, strict=True):
        merger.add(values, _scaled(place, scale))
    batch.places.clear()


def _scaled(place: Sequence[slice], scale: Sequence[int]) -> tuple[slice, ...]:
    return tuple(slice(part.start * s, part.stop * s) for part, s in zip(place, scale, strict=True))


def _check(
    size: Sequence[int],
    window: Sequence[int],
    scale: Sequence[int],
    num_classes: int,
    batch_size: int,
    skip: Callable[[Tensor], bool] | None,
    background: Sequence[float] | None,
) -> None:
    if len(window) != len(size):
        raise ValueError(f'window {tuple(window)} has another rank than the image of size {size}')
    if min(size, default=0) < 1 or min(window) < 1:
        raise ValueError(f'an image of size {size} or a window {tuple(window)} holds no points')
    if len(scale) != len(size) or any(int(s) != s or s < 1 for s in scale):
        raise ValueError(f'scale must be a whole number from 1 on for each of {len(size)} axes, got {scale}')
    if batch_size < 1 or num_classes < 1:
        raise ValueError(f'batch_size={batch_size} and num_classes={num_classes} must be at least 1')
    if skip is not None and background is None:
        raise ValueError('skip needs background, the scores of what lies in skipped windows only')
    if background is not None and len(background) != num_classes:
        raise ValueError(f'background has {len(background)} scores for {num_classes} classes')
