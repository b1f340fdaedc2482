"""Focal loss of any rank."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from mmseg_medical.models.losses.cross_entropy import binary_cross_entropy, cross_entropy
from mmseg_medical.models.losses.voxel_loss import VoxelLoss
from mmseg_medical.registry import MODELS


def focal(entropy: Tensor, gamma: float) -> Tensor:
    """Give ``(1 - p)^gamma`` times the cross entropy ``-log p``."""
    if gamma == 0:
        return entropy
    # 1 - p, exact where p is close to 1; a root's slope is infinite at 0
    rest = -torch.expm1(-entropy)
    return rest.clamp_min(torch.finfo(rest.dtype).tiny) ** gamma * entropy


@MODELS.register_module()
class VoxelFocalLoss(VoxelLoss):
    """Cross entropy times ``(1 - p)^gamma``, p the probability of the truth (Lin et al. 2017, 10.1109/ICCV.2017.324).

    mmseg's ``FocalLoss`` knows two axes only and needs a compiled operator.

    Args:
        gamma (float): 0 gives the cross entropy.
        alpha (float | None): With ``use_sigmoid``: weight of the structure, 1 - alpha that of the rest.
        loss_name (str): See :class:`VoxelLoss`.
        **options: Of :class:`VoxelLoss`. ``class_weight`` is the paper's alpha of softmax; the mean is over voxels.

    Raises:
        ValueError: A gamma below 0, an alpha outside 0..1 or without ``use_sigmoid``.
    """

    by_voxel = True

    def __init__(
        self,
        *,
        gamma: float = 2.0,
        alpha: float | None = None,
        loss_name: str = 'loss_focal',
        **options: bool | float | str | Sequence[float] | None,
    ) -> None:
        super().__init__(loss_name=loss_name, **options)  # type: ignore[arg-type]
        if gamma < 0 or (alpha is not None and not (self.use_sigmoid and 0 <= alpha <= 1)):
            raise ValueError(
                f'gamma must not be negative, and alpha lies in 0..1 and needs use_sigmoid: {gamma}, {alpha}'
            )
        self.gamma = gamma
        self.alpha = alpha

    def terms(self, logits: Tensor, target: Tensor, kept: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """See the base class."""
        weight = self.weight_of_classes(logits)
        if self.use_sigmoid:
            values = focal(binary_cross_entropy(logits, target), self.gamma)
            if self.alpha is not None:
                values = torch.where(target > 0, self.alpha, 1 - self.alpha) * values
            if weight is not None:
                values = values * weight.reshape(-1, *(1,) * (logits.ndim - 2))
            return values, kept
        values = focal(cross_entropy(logits.log_softmax(1), target, kept), self.gamma)
        if weight is not None:
            values = weight[target if kept is None else target.masked_fill(~kept, 0)] * values
        return values, kept
