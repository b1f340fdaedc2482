"""Tversky and focal Tversky losses."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from mmseg_medical.models.losses.overlap import OverlapLoss, smoothing, tversky
from mmseg_medical.registry import MODELS


@MODELS.register_module()
class SoftTverskyLoss(OverlapLoss):
    """Complement of the Tversky index (Salehi et al. 2017, doi:10.1007/978-3-319-67389-9_44), to a power.

    Args:
        alpha (float): Weight of false alarms; alpha = beta = 0.5 is Dice.
        beta (float): Weight of misses.
        gamma (float): Power of the complement of each class. Focal Tversky (Abraham and Khan 2019,
            doi:10.1109/ISBI.2019.8759329) writes it 1/gamma, and its gamma of 4/3 is 0.75 here.
        pooled (bool): See :class:`SoftDiceLoss`.
        smooth (float | Sequence[float]): See :class:`SoftDiceLoss`.
        loss_name (str): See :class:`VoxelLoss`.
        **options: Of :class:`OverlapLoss`.

    Raises:
        ValueError: Weights or power that are not positive.
    """

    def __init__(
        self,
        *,
        alpha: float = 0.3,
        beta: float = 0.7,
        gamma: float = 1.0,
        pooled: bool = True,
        smooth: float | Sequence[float] = 1e-5,
        loss_name: str = 'loss_tversky',
        **options: bool | float | str | Sequence[float] | None,
    ) -> None:
        super().__init__(loss_name=loss_name, **options)  # type: ignore[arg-type]
        if alpha < 0 or beta < 0 or alpha + beta == 0 or gamma <= 0:
            raise ValueError(f'alpha, beta and gamma must be positive, got {alpha}, {beta} and {gamma}')
        self.alpha = alpha
        self.beta = beta
        self.gamma = gamma
        self.pooled = pooled
        self.smooth = smoothing(smooth)

    def compare(self, probabilities: Tensor, masks: Tensor) -> tuple[Tensor, Tensor]:
        """See the base class."""
        index, defined = tversky(
            probabilities, masks, alpha=self.alpha, beta=self.beta, pooled=self.pooled, smooth=self.smooth
        )
        values = 1 - index
        if self.gamma != 1:
            # the slope of a root is infinite at 0
            positive = values > torch.finfo(values.dtype).eps
            values = torch.where(positive, torch.where(positive, values, 1) ** self.gamma, 0)
        return values, defined.new_ones(defined.shape)
