"""Binary cross-entropy over masks that may overlap."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mmseg_medical.registry import MODELS


@MODELS.register_module()
class MultiLabelBCELoss(nn.Module):
    """Sigmoid cross-entropy, one channel a class; ignored pixels count nowhere.

    Args:
        pos_weight: factor of the positive pixels of each class, against their rarity.
        loss_weight: factor of the loss.
        loss_name: key in the log; mmengine adds up only names that contain ``loss``.

    Raises:
        ValueError: a ``loss_name`` that would be logged but not trained on.
    """

    def __init__(
        self,
        pos_weight: Sequence[float] | None = None,
        *,
        loss_weight: float = 1.0,
        loss_name: str = 'loss_bce',
    ) -> None:
        super().__init__()
        if not loss_name.startswith('loss_'):
            raise ValueError(f"loss_name={loss_name!r} must start with 'loss_', or it is logged but not trained on")
        weight = None if pos_weight is None else torch.tensor(pos_weight, dtype=torch.float32)
        self.pos_weight: Tensor | None
        self.register_buffer('pos_weight', weight, persistent=False)
        self.loss_weight = loss_weight
        self._loss_name = loss_name

    @property
    def loss_name(self) -> str:
        """Key in the log."""
        return self._loss_name

    def forward(self, cls_score: Tensor, label: Tensor, *, ignore_index: int = 255, **kwargs: object) -> Tensor:
        """Mean over the pixels and channels that are not ignored.

        Args:
            cls_score: shape (N, C, *S), logits.
            label: shape (N, C, *S), 0, 1 or ``ignore_index``.
            ignore_index: value of pixels that count nowhere.
            kwargs: the rest of mmseg's loss interface, not used here.

        Returns:
            The loss; a differentiable 0 if everything is ignored.
        """
        valid = label != ignore_index
        pos_weight = self.pos_weight
        if pos_weight is not None:
            pos_weight = pos_weight.to(cls_score).reshape(-1, *[1] * (cls_score.ndim - 2))
        losses = F.binary_cross_entropy_with_logits(
            cls_score, label.where(valid, 0).to(cls_score), pos_weight=pos_weight, reduction='none'
        )
        return self.loss_weight * (losses * valid).sum(dtype=torch.float32) / valid.sum().clamp(min=1)
