"""Dice family: Dice, Jaccard, generalised Dice and their log-cosh."""

from __future__ import annotations

import math
from collections.abc import Sequence

from torch import Tensor
from torch.nn.functional import softplus

from mmseg_medical.models.losses.overlap import OverlapLoss, generalised_dice, smoothing, soft_dice
from mmseg_medical.registry import MODELS


def log_cosh(x: Tensor) -> Tensor:
    """Logarithm of the hyperbolic cosine, for any size of ``x``."""
    return x + softplus(-2 * x) - math.log(2)


@MODELS.register_module()
class SoftDiceLoss(OverlapLoss):
    """Complement of the soft Dice (Milletari et al. 2016, doi:10.1109/3DV.2016.79), mean over the classes.

    Args:
        pooled (bool): Sum over the batch before dividing; False: one Dice a sample.
        squared (bool): Probabilities are squared in the denominator, as in Milletari et al.
        smooth (float | Sequence[float]): Added to numerator and denominator, or one for each.
        empty (str): What a class without a voxel in prediction and target counts when ``smooth`` is 0: ``'perfect'``
            (1), or ``'skip'`` (left out of the mean).
        jaccard (bool): Intersection over union instead.
        generalised (bool): All classes together, weighted by 1 / volume^2, see
            :func:`~mmseg_medical.models.losses.overlap.generalised_dice`.
        log_cosh (bool): Logarithm of the hyperbolic cosine of the loss of each class, flat near 0 (Jadon 2020,
            doi:10.1109/CIBCB48159.2020.9277638).
        loss_name (str): See :class:`VoxelLoss`.
        **options: Of :class:`OverlapLoss`.

    Raises:
        ValueError: Options that are unknown or exclude each other.
    """

    def __init__(
        self,
        *,
        pooled: bool = True,
        squared: bool = False,
        smooth: float | Sequence[float] = 1e-5,
        empty: str = 'perfect',
        jaccard: bool = False,
        generalised: bool = False,
        log_cosh: bool = False,
        loss_name: str = 'loss_dice',
        **options: bool | float | str | Sequence[float] | None,
    ) -> None:
        super().__init__(loss_name=loss_name, **options)  # type: ignore[arg-type]
        if empty not in ('perfect', 'skip'):
            raise ValueError(f"empty must be 'perfect' or 'skip', got {empty!r}")
        if generalised and (squared or jaccard or self.class_weight is not None):
            raise ValueError('generalised Dice has weights of its own and knows no squared, jaccard or class_weight')
        self.pooled = pooled
        self.squared = squared
        self.smooth = smoothing(smooth)
        self.empty = empty
        self.jaccard = jaccard
        self.generalised = generalised
        self.log_cosh = log_cosh

    def compare(self, probabilities: Tensor, masks: Tensor) -> tuple[Tensor, Tensor]:
        """See the base class."""
        if self.generalised:
            overlap, defined = generalised_dice(probabilities, masks, pooled=self.pooled, smooth=self.smooth)
        else:
            overlap, defined = soft_dice(
                probabilities,
                masks,
                pooled=self.pooled,
                squared=self.squared,
                smooth=self.smooth,
                jaccard=self.jaccard,
            )
        values = log_cosh(1 - overlap) if self.log_cosh else 1 - overlap
        return values, defined if self.empty == 'skip' else defined.new_ones(defined.shape)
