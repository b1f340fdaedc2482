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
        ValueError: They do not fit, or a softmax over one channel, which is 1 whatever the network says.
    """
    if logits.shape[1] == 1 and not multi_label:
        raise ValueError('logits of one channel need use_sigmoid=True; a softmax needs a channel for the background')
    wanted = logits.shape if multi_label else (logits.shape[0], *logits.shape[2:])
    if target.shape != wanted:
        kind = 'masks' if multi_label else 'labels'
        raise ValueError(
            f'logits {tuple(logits.shape)} need {kind} of shape {tuple(wanted)}, got {tuple(target.shape)}'
        )


def check_values(target: Tensor, kept: Tensor | None, values: int) -> None:
    """Look for labels that are no class; on the CPU only, elsewhere it would wait for the device.

    Args:
        target (Tensor): Labels or masks.
        kept (Tensor | None): Voxels that count, see :func:`kept_voxels`.
        values (int): Allowed are 0 .. values - 1.

    Raises:
        ValueError: Another one is found.
    """
    if target.device.type != 'cpu' or target.dtype == torch.bool or not target.numel():
        return
    smallest, largest = torch.aminmax(target if kept is None else target.masked_fill(~kept, 0))
    if smallest < 0 or largest >= values:
        raise ValueError(
            f'the target holds values {int(smallest)} to {int(largest)}, the loss knows 0 to {values - 1} and '
            'ignore_index; check num_classes and the label map of the data set'
        )


def kept_voxels(target: Tensor, ignore_index: int | None) -> Tensor | None:
    """Return the voxels that count, bool of the target's shape; None if it is known that all do."""
    if ignore_index is None:
        return None
    kept = target != ignore_index
    # asking a GPU would stop the queue of kernels for each loss
    return None if kept.device.type == 'cpu' and bool(kept.all()) else kept


def class_masks(target: Tensor, kept: Tensor | None, classes: int, multi_label: bool, first: int = 0) -> Tensor:
    """Return masks of the classes from ``first`` on.

    Args:
        target (Tensor): labels (N, *S), or masks (N, K, *S) with ``multi_label``.
        kept (Tensor | None): Voxels that count, of the target's shape.
        classes (int): K.
        multi_label (bool): Whether the target is masks.
        first (int): Classes before it are left out.

    Returns:
        Tensor: bool, shape (N, K - first, *S); voxels that do not count are in none.
    """
    if multi_label:
        masks, counting = target[:, first:] > 0, None if kept is None else kept[:, first:]
    else:
        labels = torch.arange(first, classes, dtype=target.dtype, device=target.device)
        masks = target[:, None] == labels.reshape(-1, *(1,) * (target.ndim - 1))
        counting = None if kept is None else kept[:, None]
    return masks if counting is None else masks & counting
