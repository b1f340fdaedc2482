"""Cross entropy, and its sum with Dice."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, nll_loss

from mmseg_medical.models.losses.dice import SoftDiceLoss
from mmseg_medical.models.losses.targets import check_target, full_precision, kept_voxels
from mmseg_medical.registry import MODELS


def mean_over_kept(values: Tensor, kept: Tensor | None) -> Tensor:
    """Mean of the values that count; 0 with a gradient of 0 if none does."""
    if kept is None:
        return values.mean()
    return torch.where(kept, values, 0).sum() / kept.sum().clamp_min(1)


def cross_entropy(
    log_probabilities: Tensor, target: Tensor, kept: Tensor | None, class_weight: Tensor | None = None
) -> Tensor:
    """Cross entropy of each voxel.

    Args:
        log_probabilities (Tensor): shape (N, K, *S).
        target (Tensor): labels (N, *S).
        kept (Tensor | None): Voxels that count, see :func:`kept_voxels`.
        class_weight (Tensor | None): shape (K,).

    Returns:
        Tensor: shape (N, *S), 0 where voxels do not count.
    """
    labels = target if kept is None else torch.where(kept, target, -100)
    return nll_loss(log_probabilities, labels, class_weight, ignore_index=-100, reduction='none')


@MODELS.register_module()
class DiceCELoss(nn.Module):
    """``dice_weight * (1 - Dice) + ce_weight * cross entropy``, of one softmax (or sigmoid).

    The defaults are those that nnU-Net trains with; RARE-UNet's are ``dice_weight=0.65, ce_weight=0.35, smooth=0``.

    Args:
        dice_weight (float): Of the Dice term; 0 for cross entropy alone.
        ce_weight (float): Of the cross entropy, mean over all voxels that count; binary with ``use_sigmoid``.
        top_k (float): Share of the voxels, those of the largest cross entropy, that its mean is taken over.
        ce_class_weight (Sequence[float] | None): One a class; the mean is over voxels all the same.
        loss_weight (float): Factor of the sum.
        loss_name (str): Name in the log.
        **dice: Of :class:`SoftDiceLoss`, e.g. ``use_sigmoid``, ``include_background``, ``pooled``, ``smooth``.

    Raises:
        ValueError: ``top_k`` is not in (0, 1].
    """

    def __init__(
        self,
        *,
        dice_weight: float = 1.0,
        ce_weight: float = 1.0,
        top_k: float = 1.0,
        ce_class_weight: Sequence[float] | None = None,
        loss_weight: float = 1.0,
        loss_name: str = 'loss_dice_ce',
        **dice: bool | float | str | Sequence[float] | None,
    ) -> None:
        super().__init__()
        if not 0 < top_k <= 1:
            raise ValueError(f'top_k is a share of the voxels, in (0, 1], got {top_k}')
        self.dice = SoftDiceLoss(**dice)  # type: ignore[arg-type]
        self.dice_weight = dice_weight
        self.ce_weight = ce_weight
        self.top_k = top_k
        self.ce_class_weight = None if ce_class_weight is None else tuple(float(weight) for weight in ce_class_weight)
        self.loss_weight = loss_weight
        self._loss_name = loss_name

    @property
    def loss_name(self) -> str:
        """Name in the log."""
        return self._loss_name

    def forward(self, logits: Tensor, target: Tensor, ignore_index: int | None = 255) -> Tensor:
        """Loss of a batch; arguments and errors as of :meth:`OverlapLoss.forward`."""
        check_target(logits, target, self.dice.use_sigmoid)
        with torch.autocast(logits.device.type, enabled=False):
            scores, kept = full_precision(logits), kept_voxels(target, ignore_index)
            if self.dice.use_sigmoid:
                probabilities = scores.sigmoid()
                entropy = binary_cross_entropy_with_logits(
                    scores, target.to(scores).clamp(0, 1), self._weight(scores), reduction='none'
                )
            else:
                log_probabilities = scores.log_softmax(1)
                probabilities = log_probabilities.exp()
                entropy = cross_entropy(log_probabilities, target, kept, self._flat_weight(scores))
            loss = self.ce_weight * self._mean(entropy, kept)
            if self.dice_weight:
                loss = loss + self.dice_weight * (1 - self.dice.of_probabilities(probabilities, target, kept))
            return self.loss_weight * loss

    def _mean(self, entropy: Tensor, kept: Tensor | None) -> Tensor:
        if self.top_k == 1:
            return mean_over_kept(entropy, kept)
        values = entropy.flatten() if kept is None else entropy[kept]
        if not values.numel():
            return entropy.sum() * 0
        return values.topk(max(1, round(self.top_k * values.numel())), sorted=False).values.mean()

    def _flat_weight(self, scores: Tensor) -> Tensor | None:
        return None if self.ce_class_weight is None else scores.new_tensor(self.ce_class_weight)

    def _weight(self, scores: Tensor) -> Tensor | None:
        weight = self._flat_weight(scores)
        return None if weight is None else weight.reshape(-1, *(1,) * (scores.ndim - 2))
