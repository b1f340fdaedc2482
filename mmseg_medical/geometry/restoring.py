"""From the grid of a network back to that of the file."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch

from mmseg_medical.geometry.grid import Grid
from mmseg_medical.geometry.grid_step import Box, Fill, GridStep, Order, slices, whole

# Bytes of scores on the native grid that are held at a time.
_SLAB_BYTES = 1 << 25


def restore(array: np.ndarray, steps: Sequence[GridStep], order: Order = 'linear', fill: Fill = 0) -> np.ndarray:
    """Undo grid steps, the last one first.

    Args:
        array (np.ndarray): shape (*lead, *S) on the target of the last step.
        steps (Sequence[GridStep]): As they were applied; none gives the array back.
        order (str): See :meth:`GridStep.apply`. Labels: ``'nearest'`` or ``'label_linear'``.
        fill (float | Sequence[float]): Of voxels that were cropped away.

    Returns:
        np.ndarray: shape (*lead, *size of the source of the first step), C-contiguous.

    Raises:
        TypeError: See :meth:`GridStep.apply`.
        ValueError: See :meth:`GridStep.apply`; or the steps do not follow each other.
    """
    _check_chain(steps)
    for step in reversed(steps):
        array = step.invert(array, order, fill)
    return array


def restore_labels(
    scores: np.ndarray | torch.Tensor, steps: Sequence[GridStep], decide: Callable[[Any], Any] | None = None
) -> np.ndarray:
    """Undo grid steps on scores and decide for labels, a slab at a time.

    Scores are interpolated linearly, which keeps the borders of labels smooth; the scores of the whole native image
    are never held, only slabs of 32 MB. The result is that of :func:`restore` and then deciding.

    Args:
        scores (np.ndarray | Tensor): shape (K, *S), floating, on the target of the last step.
        steps (Sequence[GridStep]): As they were applied to the image.
        decide (Callable | None): Makes labels or masks (*D, *B) of scores (K, *B) of any box B, given as a float32
            (or float64) array of the kind of ``scores``. None takes the class with the largest score, of equal ones the
            lower class.

    Returns:
        np.ndarray: shape (*D, *size of the source of the first step), dtype of what ``decide`` makes, uint8 without
        one (more than 256 classes: uint16). Voxels that were cropped away are 0.

    Raises:
        ValueError: The scores do not lie on the target of the last step, or the steps do not follow each other or
            leave nothing of the image.
    """
    _check_chain(steps)
    target = steps[-1].target if steps else Grid(tuple(scores.shape[1:]), None)
    if tuple(scores.shape[1:]) != target.size:
        raise ValueError(f'expected scores of shape (classes, *{target.size}), found {tuple(scores.shape)}')
    native = steps[0].source if steps else target
    back = [step.inverse() for step in reversed(steps)]
    box = whole(target)
    for step in back:
        box = step.covered(box)
    if any(stop <= start for start, stop in box):
        raise ValueError(f'the steps leave nothing of an image of size {native.size}')
    decide = decide or largest_score
    result: np.ndarray | None = None
    for slab in _slabs(box, len(scores)):
        decided = np.asarray(decide(_scores_of(scores, back, slab)))
        if result is None:
            result = np.zeros((*decided.shape[: decided.ndim - native.rank], *native.size), decided.dtype)
        result[slices(slab)] = decided
    assert result is not None  # noqa: S101  a box that is not empty has a slab
    return result


def largest_score(scores: np.ndarray | torch.Tensor) -> np.ndarray:
    """Return the class of the largest score; of equal ones the lower.

    Args:
        scores (np.ndarray | Tensor): shape (K, *S).

    Returns:
        np.ndarray: shape (*S), uint8, or uint16 of more than 256 classes.
    """
    values = scores.numpy() if isinstance(scores, torch.Tensor) else scores
    best = values[0].copy()
    labels = np.zeros(best.shape, np.uint8 if len(values) <= 256 else np.uint16)
    for number, value in enumerate(values[1:], start=1):
        np.copyto(labels, number, where=value > best)
        np.maximum(best, value, out=best)
    return labels


def _scores_of(scores: np.ndarray | torch.Tensor, back: Sequence[GridStep], box: Box) -> np.ndarray | torch.Tensor:
    """Scores of a part of the native grid."""
    boxes = [box]
    for step in reversed(back):
        boxes.append(step.needed(boxes[-1], 'linear'))
    part: Any = scores[slices(boxes.pop())]
    if isinstance(part, torch.Tensor):
        part = part.detach().to('cpu', torch.float64 if part.dtype == torch.float64 else torch.float32).numpy()
    elif part.dtype != np.float64:
        part = part.astype(np.float32, copy=False)
    for step in back:
        part = step.apply_box(part, boxes.pop(), 'linear')
    return torch.from_numpy(np.ascontiguousarray(part)) if isinstance(scores, torch.Tensor) else part


def _slabs(box: Box, classes: int) -> list[Box]:
    (start, stop), *others = box
    row = 4 * classes * math.prod(high - low for low, high in others)
    rows = max(1, _SLAB_BYTES // row)
    return [((first, min(first + rows, stop)), *others) for first in range(start, stop, rows)]


def _check_chain(steps: Sequence[GridStep]) -> None:
    for before, after in itertools.pairwise(steps):
        if before.target != after.source:
            raise ValueError(
                f'the steps do not follow each other: {type(before).__name__} ends on size {before.target.size}, '
                f'{type(after).__name__} begins on {after.source.size}'
                + ('' if before.target.size != after.source.size else ' with another affine')
            )
