"""Cross entropy of any rank, over all voxels or the hardest of them."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits, nll_loss

from mmseg_medical.models.losses.voxel_loss import VoxelLoss
from mmseg_medical.registry import MODELS


def cross_entropy(
    log_probabilities: Tensor, target: Tensor, kept: Tensor | None, class_weight: Tensor | None = None
) -> Tensor:
    """Cross entropy of each voxel.

    Args:
        log_probabilities (Tensor): shape (N, K, *S).
        target (Tensor): int64 labels (N, *S).
        kept (Tensor | None): Voxels that count, bool (N, *S); None: all.
        class_weight (Tensor | None): shape (K,).

    Returns:
        Tensor: shape (N, *S), 0 where voxels do not count.
    """
    labels = target if kept is None else target.masked_fill(~kept, -100)
    return nll_loss(log_probabilities, labels, class_weight, ignore_index=-100, reduction='none')


def binary_cross_entropy(logits: Tensor, masks: Tensor, class_weight: Tensor | None = None) -> Tensor:
    """Cross entropy of each voxel and channel of logits (N, K, *S) with masks, where above 0 counts as 1."""
    weight = None if class_weight is None else class_weight.reshape(-1, *(1,) * (logits.ndim - 2))
    return binary_cross_entropy_with_logits(logits, (masks > 0).to(logits), weight, reduction='none')


def hardest(values: Tensor, kept: Tensor | None, top_k: float) -> Tensor:
    """Mark the share ``top_k`` of the voxels that count whose values are largest, at least one of them.

    Args:
        values (Tensor): Any shape.
        kept (Tensor | None): Voxels that count, of the same shape; None: all.
        top_k (float): In (0, 1].

    Returns:
        Tensor: bool, of the same shape; of equal values as many as are wanted.
    """
    flat = values.detach().flatten()
    candidates = flat if kept is None else flat.masked_fill(~kept.flatten(), -torch.inf)
    counting = candidates.numel() if kept is None else int(kept.sum())
    chosen = torch.zeros_like(flat, dtype=torch.bool)
    if counting:
        chosen[candidates.topk(max(1, round(top_k * counting)), sorted=False).indices] = True
    return chosen.reshape(values.shape)


@MODELS.register_module()
class VoxelCrossEntropyLoss(VoxelLoss):
    """Cross entropy; of the hardest voxels alone with ``top_k`` (Wu et al. 2016, arXiv:1605.06885).

    Args:
        top_k (float): Share of the voxels, those of the largest cross entropy, over which the mean is taken; 1: all.
        loss_name (str): See :class:`VoxelLoss`.
        **options: Of :class:`VoxelLoss`. The mean is over voxels, whatever the ``class_weight``.

    Raises:
        ValueError: ``top_k`` is not in (0, 1].
    """

    by_voxel = True

    def __init__(
        self,
        *,
        top_k: float = 1.0,
        loss_name: str = 'loss_ce',
        **options: bool | float | str | Sequence[float] | None,
    ) -> None:
        super().__init__(loss_name=loss_name, **options)  # type: ignore[arg-type]
        if not 0 < top_k <= 1:
            raise ValueError(f'top_k is a share of the voxels, in (0, 1], got {top_k}')
        self.top_k = top_k

    def terms(self, logits: Tensor, target: Tensor, kept: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """See the base class."""
        return self.terms_of(logits if self.use_sigmoid else logits.log_softmax(1), target, kept)

    def terms_of(self, scores: Tensor, target: Tensor, kept: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """As :meth:`terms`, of logarithms of probabilities, or of logits with ``use_sigmoid``."""
        weight = self.weight_of_classes(scores)
        if self.use_sigmoid:
            values = binary_cross_entropy(scores, target, weight)
        else:
            values = cross_entropy(scores, target, kept, weight)
        return values, kept if self.top_k == 1 else hardest(values, kept, self.top_k)
