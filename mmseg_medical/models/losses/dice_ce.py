"""Dice and cross entropy of one softmax."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from mmseg_medical.models.losses.cross_entropy import VoxelCrossEntropyLoss
from mmseg_medical.models.losses.dice import SoftDiceLoss
from mmseg_medical.models.losses.voxel_loss import VoxelLoss, reduce_terms
from mmseg_medical.registry import MODELS


@MODELS.register_module()
class DiceCELoss(VoxelLoss):
    """``dice_weight * (1 - Dice) + ce_weight * cross entropy``, of one softmax (or sigmoid).

    The defaults are those that nnU-Net trains with; RARE-UNet's are ``dice_weight=0.65, ce_weight=0.35, smooth=0``.

    Args:
        dice_weight (float): Of the Dice term; 0 for cross entropy alone.
        ce_weight (float): Of the cross entropy, mean over all voxels that count; binary with ``use_sigmoid``.
        top_k (float): See :class:`VoxelCrossEntropyLoss`.
        ce_class_weight (Sequence[float] | None): One a class; the mean is over voxels all the same.
        use_sigmoid (bool): See :class:`VoxelLoss`.
        loss_weight (float): Factor of the sum.
        loss_name (str): Key in the log.
        **dice: Of :class:`SoftDiceLoss`, e.g. ``include_background``, ``pooled``, ``smooth``, ``class_weight``.

    Raises:
        ValueError: As the two losses raise.
    """

    def __init__(
        self,
        *,
        dice_weight: float = 1.0,
        ce_weight: float = 1.0,
        top_k: float = 1.0,
        ce_class_weight: Sequence[float] | None = None,
        use_sigmoid: bool = False,
        loss_weight: float = 1.0,
        loss_name: str = 'loss_dice_ce',
        **dice: bool | float | str | Sequence[float] | None,
    ) -> None:
        super().__init__(use_sigmoid=use_sigmoid, loss_weight=loss_weight, loss_name=loss_name)
        if 'reduction' in dice:
            raise ValueError('DiceCELoss adds means of voxels and of classes, and knows no other reduction')
        self.dice = SoftDiceLoss(use_sigmoid=use_sigmoid, **dice)  # type: ignore[arg-type]
        self.ce = VoxelCrossEntropyLoss(top_k=top_k, class_weight=ce_class_weight, use_sigmoid=use_sigmoid)
        self.dice_weight = dice_weight
        self.ce_weight = ce_weight

    def check(self, logits: Tensor, target: Tensor) -> None:
        """See the base class."""
        self.dice.check(logits, target)
        self.ce.check(logits, target)

    def terms(self, logits: Tensor, target: Tensor, kept: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """The sum itself, a term of its own."""
        return self.terms_of(logits if self.use_sigmoid else logits.log_softmax(1), target, kept)

    def terms_of(self, scores: Tensor, target: Tensor, kept: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """As :meth:`terms`, of logarithms of probabilities, or of logits with ``use_sigmoid``."""
        loss = scores.new_zeros(())
        if self.ce_weight:
            loss = loss + self.ce_weight * reduce_terms(*self.ce.terms_of(scores, target, kept), 'mean')
        if self.dice_weight:
            probabilities = scores.sigmoid() if self.use_sigmoid else torch.exp(scores)
            loss = loss + self.dice_weight * reduce_terms(*self.dice.terms_of(probabilities, target, kept), 'mean')
        return loss, None
