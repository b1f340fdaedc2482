"""Soft overlap of probabilities and masks: sums, Dice, Jaccard, generalised Dice and Tversky; and their base."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from mmseg_medical.models.losses.targets import class_masks
from mmseg_medical.models.losses.voxel_loss import VoxelLoss

Smooth = tuple[float, float]


def soft_counts(
    probabilities: Tensor, masks: Tensor, pooled: bool, squared: bool = False
) -> tuple[Tensor, Tensor, Tensor]:
    """Sums from which overlaps are made.

    Args:
        probabilities (Tensor): shape (N, K, *S), 0 where voxels do not count.
        masks (Tensor): bool, shape (N, K, *S), likewise.
        pooled (bool): Sum over the batch too.
        squared (bool): Sum squares of the probabilities in the prediction's size.

    Returns:
        tuple[Tensor, Tensor, Tensor]: Intersection, size of the prediction, size of the target; (N, K), pooled (1, K).
    """
    axes = tuple(range(2, probabilities.ndim))
    # a product of two floating types: three times as fast as one with a bool mask, and thirty times torch.where
    truth = masks.to(probabilities)
    both = (probabilities * truth).sum(axes)
    predicted = (probabilities.square() if squared else probabilities).sum(axes)
    true = truth.sum(axes)
    if not pooled:
        return both, predicted, true
    return both.sum(0, keepdim=True), predicted.sum(0, keepdim=True), true.sum(0, keepdim=True)


def ratio(numerator: Tensor, denominator: Tensor, smooth: Smooth) -> tuple[Tensor, Tensor]:
    """Quotient with smoothing.

    Args:
        numerator (Tensor): shape (N, K).
        denominator (Tensor): shape (N, K), not negative.
        smooth (tuple[float, float]): Added to numerator and denominator.

    Returns:
        tuple[Tensor, Tensor]: Quotients (N, K), 1 where the smoothed denominator is 0; bool (N, K), where it is not.
    """
    top, bottom = numerator + smooth[0], denominator + smooth[1]
    defined = bottom > 0
    return torch.where(defined, top, 1) / torch.where(defined, bottom, 1), defined


def soft_dice(
    probabilities: Tensor,
    masks: Tensor,
    *,
    pooled: bool = True,
    squared: bool = False,
    smooth: Smooth = (1e-5, 1e-5),
    jaccard: bool = False,
) -> tuple[Tensor, Tensor]:
    """Soft Dice ``(2 I + s) / (P + T + s)`` or Jaccard ``(I + s) / (P + T - I + s)`` of each class; see :func:`ratio`.

    Arguments as of :func:`soft_counts`.
    """
    both, predicted, true = soft_counts(probabilities, masks, pooled, squared)
    if jaccard:
        return ratio(both, predicted + true - both, smooth)
    return ratio(2 * both, predicted + true, smooth)


def generalised_dice(
    probabilities: Tensor, masks: Tensor, *, pooled: bool = True, smooth: Smooth = (1e-5, 1e-5)
) -> tuple[Tensor, Tensor]:
    """Dice of all classes together, weighted by 1 / volume^2 (Sudre et al. 2017, doi:10.1007/978-3-319-67558-9_28).

    Weights are relative to the smallest class: of 1 / volume^2 itself the sums are near 1 / volume, and smoothing
    would drown them. A class that is absent weighs as the smallest one that is there; if none is, all weigh 1.

    Returns:
        tuple[Tensor, Tensor]: As of :func:`ratio`, shape (N, 1).
    """
    both, predicted, true = soft_counts(probabilities, masks, pooled)
    smallest = torch.where(true > 0, true, torch.inf).amin(1, keepdim=True)
    weight = torch.where(true > 0, (smallest / true.clamp_min(1)).square(), 1)
    return ratio(2 * (weight * both).sum(1, keepdim=True), (weight * (predicted + true)).sum(1, keepdim=True), smooth)


def tversky(
    probabilities: Tensor,
    masks: Tensor,
    *,
    alpha: float = 0.3,
    beta: float = 0.7,
    pooled: bool = True,
    smooth: Smooth = (1e-5, 1e-5),
) -> tuple[Tensor, Tensor]:
    """Tversky index ``(I + s) / (I + alpha FP + beta FN + s)`` of each class; see :func:`ratio`."""
    both, predicted, true = soft_counts(probabilities, masks, pooled)
    return ratio(both, both + alpha * (predicted - both) + beta * (true - both), smooth)


class OverlapLoss(VoxelLoss):
    """Base of losses with a term a class, of probabilities and masks.

    Args:
        include_background (bool | None): Whether class 0 counts; None: only with ``use_sigmoid``, where it is none.
        loss_name (str): See :class:`VoxelLoss`.
        **options: Of :class:`VoxelLoss`. ``class_weight`` are shares in the mean over the classes.
    """

    def __init__(
        self,
        *,
        include_background: bool | None = None,
        loss_name: str = 'loss_overlap',
        **options: bool | float | str | Sequence[float] | None,
    ) -> None:
        super().__init__(loss_name=loss_name, **options)  # type: ignore[arg-type]
        self.include_background = self.use_sigmoid if include_background is None else include_background

    def compare(self, probabilities: Tensor, masks: Tensor) -> tuple[Tensor, Tensor]:
        """Loss of each class.

        Args:
            probabilities (Tensor): shape (N, K, *S), 0 where voxels do not count.
            masks (Tensor): bool, shape (N, K, *S), likewise.

        Returns:
            tuple[Tensor, Tensor]: Losses (N, K), pooled (1, K), and which of them count, bool.
        """
        raise NotImplementedError

    def terms(self, logits: Tensor, target: Tensor, kept: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """See the base class."""
        return self.terms_of(logits.sigmoid() if self.use_sigmoid else logits.softmax(1), target, kept)

    def terms_of(self, probabilities: Tensor, target: Tensor, kept: Tensor | None) -> tuple[Tensor, Tensor]:
        """As :meth:`terms`, of probabilities (N, K, *S)."""
        classes = probabilities.shape[1]
        first = 0 if self.include_background or classes == 1 else 1
        masks = class_masks(target, kept, classes, self.use_sigmoid, first)
        probabilities = probabilities[:, first:]
        if kept is not None:
            probabilities = probabilities * (kept[:, first:] if self.use_sigmoid else kept[:, None])
        values, counts = self.compare(probabilities, masks)
        weight = self.weight_of_classes(probabilities)
        return values, counts.to(values) if weight is None else counts * weight[first:]


def smoothing(smooth: float | Sequence[float]) -> Smooth:
    """Read one number for numerator and denominator, or one for each.

    Raises:
        ValueError: Neither, or negative ones.
    """
    pair = (smooth, smooth) if isinstance(smooth, (int, float)) else tuple(smooth)
    if len(pair) != 2 or min(pair) < 0:
        raise ValueError(f'smooth is one number or one of the numerator and one of the denominator, got {smooth}')
    return float(pair[0]), float(pair[1])
