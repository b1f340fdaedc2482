"""Focal loss of any rank."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits

from mmseg_medical.models.losses.dice_ce import cross_entropy, mean_over_kept
from mmseg_medical.models.losses.targets import check_target, full_precision, kept_voxels
from mmseg_medical.registry import MODELS


@MODELS.register_module()
class VoxelFocalLoss(nn.Module):
    """Cross entropy times ``(1 - p)^gamma``, p the probability of the truth (Lin et al. 2017, 10.1109/ICCV.2017.324).

    mmseg's ``FocalLoss`` knows two axes only and needs a compiled operator.

    Args:
        gamma (float): 0 gives the cross entropy.
        class_weight (Sequence[float] | None): One a class (the paper's alpha of softmax).
        alpha (float | None): With ``use_sigmoid``: weight of the structure, 1 - alpha that of the rest.
        use_sigmoid (bool): Classes may overlap: masks (N, K, *S), otherwise labels (N, *S).
        loss_weight (float): Factor.
        loss_name (str): Name in the log.
    """

    def __init__(
        self,
        *,
        gamma: float = 2.0,
        class_weight: Sequence[float] | None = None,
        alpha: float | None = None,
        use_sigmoid: bool = False,
        loss_weight: float = 1.0,
        loss_name: str = 'loss_focal',
    ) -> None:
        super().__init__()
        if gamma < 0 or (alpha is not None and not (use_sigmoid and 0 <= alpha <= 1)):
            raise ValueError(
                f'gamma must not be negative, and alpha lies in 0..1 and needs use_sigmoid: {gamma}, {alpha}'
            )
        self.gamma = gamma
        self.class_weight = None if class_weight is None else tuple(float(weight) for weight in class_weight)
        self.alpha = alpha
        self.use_sigmoid = use_sigmoid
        self.loss_weight = loss_weight
        self._loss_name = loss_name

    @property
    def loss_name(self) -> str:
        """Name in the log."""
        return self._loss_name

    def forward(self, logits: Tensor, target: Tensor, ignore_index: int | None = 255) -> Tensor:
        """Loss of a batch; arguments and errors as of :meth:`OverlapLoss.forward`."""
        check_target(logits, target, self.use_sigmoid)
        with torch.autocast(logits.device.type, enabled=False):
            scores, kept = full_precision(logits), kept_voxels(target, ignore_index)
            weight = None if self.class_weight is None else scores.new_tensor(self.class_weight)
            if self.use_sigmoid:
                truth = target.to(scores).clamp(0, 1)
                entropy = binary_cross_entropy_with_logits(scores, truth, reduction='none')
                factor = torch.ones_like(entropy)
                if self.alpha is not None:
                    factor = torch.where(truth > 0.5, self.alpha, 1 - self.alpha)
                if weight is not None:
                    factor = factor * weight.reshape(-1, *(1,) * (scores.ndim - 2))
            else:
                entropy = cross_entropy(scores.log_softmax(1), target, kept)
                factor = torch.ones_like(entropy)
                if weight is not None:
                    factor = weight[torch.where(kept, target, 0) if kept is not None else target]
            # 1 - p, exact where p is close to 1
            rest = -torch.expm1(-entropy)
            power = 1 if self.gamma == 0 else rest.clamp_min(torch.finfo(rest.dtype).tiny) ** self.gamma
            return self.loss_weight * mean_over_kept(factor * power * entropy, kept)
