"""What probabilities are held against: masks of shape (C, *S), one a class, or a label map of shape (*S)."""

from __future__ import annotations

import torch
from torch import Tensor

from mmseg_medical.evaluation.functional.arrays import ArrayLike, as_labels, as_probabilities, check_range
from mmseg_medical.evaluation.functional.pieces import kept_pixels


def checked_targets(probabilities: ArrayLike, target: ArrayLike, ignore_index: int | None) -> tuple[Tensor, Tensor]:
    """Read probabilities and their targets.

    Args:
        probabilities (np.ndarray | Tensor): shape (C, *S), float, in 0..1; they sum to 1 over the classes if the target
            is a label map.
        target (np.ndarray | Tensor): shape (C, *S), masks of 0 and 1; or shape (*S), labels in 0..C - 1.
        ignore_index (int | None): target value of pixels left out.

    Returns:
        tuple[Tensor, Tensor]: the probabilities, and the targets on their device; of the same rank if they are masks.

    Raises:
        ValueError: shapes do not match, probabilities are NaN or outside 0..1 or do not sum to 1, targets are no labels
            of a class.
    """
    scores = as_probabilities(probabilities, 'probabilities')
    targets = as_labels(target, 'target').to(scores.device)
    masks = scores.shape == targets.shape
    if scores.ndim == 0 or not (masks or scores.shape[1:] == targets.shape):
        raise ValueError(
            'target must have the shape (C, *S) of the probabilities (masks) or (*S) without their first axis (label '
            f'map), got probabilities {tuple(scores.shape)} and target {tuple(targets.shape)}'
        )
    check_kept_labels(targets, 2 if masks else scores.shape[0], 'target', ignore_index)
    if not masks:
        _check_sums(scores, targets, ignore_index)
    return scores, targets


def check_kept_labels(targets: Tensor, num_classes: int, name: str, ignore_index: int | None) -> None:
    """Raise a ValueError that lists the labels outside 0..num_classes - 1 other than ``ignore_index``."""
    kept = targets if ignore_index is None else targets[targets != ignore_index]
    if kept.numel():
        check_range(kept, num_classes, name, ignore_index)


def _check_sums(scores: Tensor, labels: Tensor, ignore_index: int | None) -> None:
    for s, _ in kept_pixels(scores, labels, ignore_index):
        low, high = (float(v) for v in s.sum(dim=0, dtype=torch.float64).aminmax())
        # probabilities of half precision miss 1 by up to 1e-3
        if low < 0.99 or high > 1.01:
            raise ValueError(
                f'the probabilities of the {len(s)} classes of a label map must sum to 1, got sums in '
                f'{low:.6g}..{high:.6g}; give masks of shape (C, *S) as the target of independent classes'
            )
