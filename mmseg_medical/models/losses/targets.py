"""Targets of losses: which voxels count, and masks of the classes."""

from __future__ import annotations

import torch
from torch import Tensor


def full_precision(logits: Tensor) -> Tensor:
    """Give logits in float32 at least: sums over a volume leave the range and precision of half types."""
    return logits.to(torch.promote_types(logits.dtype, torch.float32))


def check_target(logits: Tensor, target: Tensor, multi_label: bool) -> None:
    """Compare shapes.

    Args:
        logits (Tensor): shape (N, K, *S).
        target (Tensor): labels (N, *S), or masks (N, K, *S) with ``multi_label``.
        multi_label (bool): Whether classes may overlap.

    Raises:
        ValueError: They do not fit.
    """
    wanted = logits.shape if multi_label else (logits.shape[0], *logits.shape[2:])
    if target.shape != wanted:
        kind = 'masks' if multi_label else 'labels'
        raise ValueError(
            f'logits {tuple(logits.shape)} need {kind} of shape {tuple(wanted)}, got {tuple(target.shape)}'
        )


def kept_voxels(target: Tensor, ignore_index: int | None) -> Tensor | None:
    """Return the voxels that count, bool of the target's shape; None if all do."""
    if ignore_index is None:
        return None
    kept = target != ignore_index
    return None if bool(kept.all()) else kept


def class_masks(target: Tensor, kept: Tensor | None, classes: int, dtype: torch.dtype, multi_label: bool) -> Tensor:
    """Return masks (N, K, *S) of 0 and 1; voxels that do not count are 0 in all of them."""
    if multi_label:
        masks = target.to(dtype)
        return masks if kept is None else masks * kept
    # a place for ignored voxels keeps the scatter in range; it is cut off again
    labels = target if kept is None else torch.where(kept, target, classes)
    masks = target.new_zeros((target.shape[0], classes + (kept is not None), *target.shape[1:]), dtype=dtype)
    return masks.scatter_(1, labels[:, None], 1)[:, :classes]
