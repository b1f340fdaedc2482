"""Training loss of HDC-HRNet."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from mmseg_medical.errors import ConfigError
from mmseg_medical.models.losses.cross_entropy import cross_entropy
from mmseg_medical.models.losses.dice_ce import DiceCELoss
from mmseg_medical.models.losses.edge import check_edge_mode, edge_factor
from mmseg_medical.models.losses.focal import focal
from mmseg_medical.models.losses.voxel_loss import reduce_terms
from mmseg_medical.registry import MODELS


def edge_ramp(epoch: int, warmup_epochs: int) -> float:
    """Factor of the edge term: 0 before E / 2, then it rises by 1 / E an epoch up to 1.

    Args:
        epoch (int): Counted from 0.
        warmup_epochs (int): E; 0 for a factor of 1 at all times.

    Example:
        >>> [edge_ramp(epoch, 10) for epoch in (0, 5, 10, 15, 99)]
        [0.0, 0.0, 0.5, 1.0, 1.0]
    """
    if warmup_epochs == 0:
        return 1.0
    return min(1.0, max(0.0, (epoch - warmup_epochs / 2) / warmup_epochs))


@MODELS.register_module()
class HDCHRNetLoss(DiceCELoss):
    """Weighted Dice and cross entropy, and from the middle of a warm-up on the cross entropy at edges.

    ``mean(w_y CE) + Dice_w + edge_weight * edge_ramp(epoch) * mean(CE * (1 + edges))``, where Dice is that of each
    sample, the background included. :class:`~mmseg_medical.engine.LossEpochHook` tells the epoch; before it is told
    one, the loss is that after the warm-up.

    Args:
        class_weight (Sequence[float] | None): w, of Dice and of the cross entropy; the mean of the latter is over
            voxels all the same. The release has (0.1, 1.5, 1.5, 1.0) for ACDC and none for other data.
        warmup_epochs (int): E of :func:`edge_ramp`.
        edge_weight (float): Of the edge term, which has no class weights.
        edge_mode (str): ``'code'``, where every voxel is an edge, as released: the term is twice the cross entropy.
            Or ``'fixed'``, see :func:`~mmseg_medical.models.losses.edge.edge_factor`.
        focal_weight (float): Of an additional focal term without class weights. The released code fails unless it
            is 0.
        gamma (float): Of the focal term.
        loss_weight (float): Factor of the sum.
        loss_name (str): Key in the log.

    Raises:
        ConfigError: An unknown ``edge_mode``, or a negative ``warmup_epochs``, ``edge_weight``, ``focal_weight`` or
            ``gamma``.
    """

    def __init__(
        self,
        *,
        class_weight: Sequence[float] | None = None,
        warmup_epochs: int = 10,
        edge_weight: float = 0.5,
        edge_mode: str = 'code',
        focal_weight: float = 0.0,
        gamma: float = 2.0,
        loss_weight: float = 1.0,
        loss_name: str = 'loss_hdc_hrnet',
    ) -> None:
        super().__init__(
            pooled=False,
            include_background=True,
            class_weight=class_weight,
            ce_class_weight=class_weight,
            loss_weight=loss_weight,
            loss_name=loss_name,
        )
        numbers = dict(warmup_epochs=warmup_epochs, edge_weight=edge_weight, focal_weight=focal_weight, gamma=gamma)
        for name, number in numbers.items():
            if number < 0:
                raise ConfigError(f'{name} of HDCHRNetLoss must not be negative, got {number}')
        self.warmup_epochs = warmup_epochs
        self.edge_weight = edge_weight
        self.edge_mode = check_edge_mode(edge_mode)
        self.focal_weight = focal_weight
        self.gamma = gamma
        self.ramp = 1.0

    def set_epoch(self, epoch: int) -> None:
        """Weigh the edge term as in an epoch, counted from 0."""
        self.ramp = edge_ramp(epoch, self.warmup_epochs)

    def terms(self, logits: Tensor, target: Tensor, kept: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """The sum itself, a term of its own."""
        scores = logits.log_softmax(1)
        loss, share = self.terms_of(scores, target, kept)
        edge_weight = self.edge_weight * self.ramp
        if not (edge_weight or self.focal_weight):
            return loss, share
        entropy = cross_entropy(scores, target, kept)
        if edge_weight:
            edges = entropy * edge_factor(scores, target, kept, self.edge_mode)
            loss = loss + edge_weight * reduce_terms(edges, kept, 'mean')
        if self.focal_weight:
            loss = loss + self.focal_weight * reduce_terms(focal(entropy, self.gamma), kept, 'mean')
        return loss, share
