"""Soft overlap: Dice, generalised Dice, Jaccard and Tversky."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from mmseg_medical.models.losses.targets import check_target, class_masks, full_precision, kept_voxels
from mmseg_medical.registry import MODELS

_EMPTY = ('perfect', 'skip')


def soft_counts(probabilities: Tensor, masks: Tensor, pooled: bool, squared: bool = False) -> tuple[Tensor, ...]:
    """Sums from which overlaps are made.

    Args:
        probabilities (Tensor): shape (N, K, *S), 0 where voxels do not count.
        masks (Tensor): shape (N, K, *S) of 0 and 1, likewise.
        pooled (bool): Sum over the batch too.
        squared (bool): Sum squares of the probabilities in the prediction's size.

    Returns:
        tuple[Tensor, Tensor, Tensor]: Intersection, size of the prediction, size of the target; (N, K), pooled (1, K).
    """
    axes = tuple(range(2, probabilities.ndim))
    sums = (
        (probabilities * masks).sum(axes),
        (probabilities.square() if squared else probabilities).sum(axes),
        masks.sum(axes),
    )
    return tuple(value.sum(0, keepdim=True) for value in sums) if pooled else sums


def mean_overlap(
    numerator: Tensor, denominator: Tensor, smooth: float, empty: str, weights: Tensor | None = None
) -> Tensor:
    """Mean of ``(numerator + smooth) / (denominator + smooth)`` over classes and samples.

    Args:
        numerator (Tensor): shape (N, K).
        denominator (Tensor): shape (N, K).
        smooth (float): Added to both.
        empty (str): A denominator of 0 without smoothing counts 1 (``'perfect'``) or is left out (``'skip'``).
        weights (Tensor | None): Of the classes, (K,).

    Returns:
        Tensor: Scalar; 1 if everything was left out.
    """
    defined = denominator + smooth > 0
    ratio = torch.where(defined, numerator + smooth, 1) / torch.where(defined, denominator + smooth, 1)
    share = torch.ones_like(ratio) if weights is None else weights.expand_as(ratio).to(ratio)
    if empty == 'skip':
        share = share * defined
    total = share.sum()
    return torch.where(total > 0, (ratio * share).sum() / total.clamp_min(torch.finfo(ratio.dtype).tiny), 1.0)


def soft_dice(
    probabilities: Tensor,
    masks: Tensor,
    *,
    pooled: bool = True,
    squared: bool = False,
    smooth: float = 1e-5,
    empty: str = 'perfect',
    jaccard: bool = False,
    class_weight: Tensor | None = None,
) -> Tensor:
    """Mean soft Dice ``(2 I + s) / (P + T + s)``, or Jaccard ``(I + s) / (P + T - I + s)``; see :class:`SoftDiceLoss`.

    Returns:
        Tensor: Scalar in 0..1.
    """
    both, predicted, true = soft_counts(probabilities, masks, pooled, squared)
    if jaccard:
        return mean_overlap(both, predicted + true - both, smooth, empty, class_weight)
    return mean_overlap(2 * both, predicted + true, smooth, empty, class_weight)


def generalised_dice(probabilities: Tensor, masks: Tensor, *, pooled: bool = True, smooth: float = 1e-5) -> Tensor:
    """Dice of all classes together, weighted by 1 / volume^2 (Sudre et al. 2017, doi:10.1007/978-3-319-67558-9_28).

    A class that is absent gets the largest weight of those present, as its own would be infinite.

    Returns:
        Tensor: Scalar in 0..1.
    """
    both, predicted, true = soft_counts(probabilities, masks, pooled)
    weight = torch.where(true > 0, 1 / true.clamp_min(1e-12).square(), 0)
    weight = torch.where(true > 0, weight, weight.amax(1, keepdim=True))
    return mean_overlap(
        2 * (weight * both).sum(1, keepdim=True), (weight * (predicted + true)).sum(1, keepdim=True), smooth, 'perfect'
    )


def tversky(
    probabilities: Tensor,
    masks: Tensor,
    *,
    alpha: float = 0.3,
    beta: float = 0.7,
    pooled: bool = True,
    smooth: float = 1e-5,
    class_weight: Tensor | None = None,
) -> Tensor:
    """Tversky index of each class, ``(I + s) / (I + alpha FP + beta FN + s)``; mean, see :class:`TverskyLoss`."""
    both, predicted, true = soft_counts(probabilities, masks, pooled)
    denominator = both + alpha * (predicted - both) + beta * (true - both)
    return mean_overlap(both, denominator, smooth, 'perfect', class_weight)


class OverlapLoss(nn.Module):
    """Base of losses that compare probabilities with masks of the classes.

    Args:
        use_sigmoid (bool): Classes may overlap: sigmoid and masks (N, K, *S), otherwise softmax and labels (N, *S).
        include_background (bool | None): Whether class 0 counts; None: only with ``use_sigmoid``, where it is none.
        class_weight (Sequence[float] | None): One a class, those left out included.
        loss_weight (float): Factor.
        loss_name (str): Name in the log; with the prefix ``loss_`` it enters the sum.
    """

    def __init__(
        self,
        *,
        use_sigmoid: bool = False,
        include_background: bool | None = None,
        class_weight: Sequence[float] | None = None,
        loss_weight: float = 1.0,
        loss_name: str = 'loss_overlap',
    ) -> None:
        super().__init__()
        self.use_sigmoid = use_sigmoid
        self.include_background = use_sigmoid if include_background is None else include_background
        self.class_weight = None if class_weight is None else tuple(float(weight) for weight in class_weight)
        self.loss_weight = loss_weight
        self._loss_name = loss_name

    @property
    def loss_name(self) -> str:
        """Name in the log."""
        return self._loss_name

    def overlap(self, probabilities: Tensor, masks: Tensor, class_weight: Tensor | None) -> Tensor:
        """Score in 0..1 of (N, K, *S) against masks; the loss is its complement."""
        raise NotImplementedError

    def forward(self, logits: Tensor, target: Tensor, ignore_index: int | None = 255) -> Tensor:
        """Loss of a batch.

        Args:
            logits (Tensor): shape (N, K, *S).
            target (Tensor): int64 labels (N, *S), or masks (N, K, *S) of 0, 1 and ``ignore_index``.
            ignore_index (int | None): Value of voxels that do not count.

        Returns:
            Tensor: Scalar.

        Raises:
            ValueError: The shapes do not fit.
        """
        check_target(logits, target, self.use_sigmoid)
        with torch.autocast(logits.device.type, enabled=False):
            scores = full_precision(logits)
            probabilities = scores.sigmoid() if self.use_sigmoid else scores.softmax(1)
            return self.loss_weight * (
                1 - self.of_probabilities(probabilities, target, kept_voxels(target, ignore_index))
            )

    def of_probabilities(self, probabilities: Tensor, target: Tensor, kept: Tensor | None) -> Tensor:
        """Overlap of probabilities (N, K, *S) in float32; ``kept`` as of :func:`kept_voxels`."""
        classes = probabilities.shape[1]
        masks = class_masks(target, kept, classes, probabilities.dtype, self.use_sigmoid)
        first = 0 if self.include_background or classes == 1 else 1
        probabilities, masks = probabilities[:, first:], masks[:, first:]
        if kept is not None:
            probabilities = probabilities * (kept[:, first:] if self.use_sigmoid else kept[:, None])
        weight = None if self.class_weight is None else probabilities.new_tensor(self.class_weight[first:])
        return self.overlap(probabilities, masks, weight)


@MODELS.register_module()
class SoftDiceLoss(OverlapLoss):
    """Complement of the soft Dice (Milletari et al. 2016, doi:10.1109/3DV.2016.79), mean over the classes.

    Args:
        pooled (bool): Sum over the batch before dividing; False: one Dice a sample.
        squared (bool): Probabilities are squared in the denominator, as in Milletari et al.
        smooth (float): Added to numerator and denominator.
        empty (str): What a class without a voxel in prediction and target counts when ``smooth`` is 0: ``'perfect'``
            (1), or ``'skip'`` (left out of the mean).
        jaccard (bool): Intersection over union instead.
        generalised (bool): All classes together, weighted by 1 / volume^2, see :func:`generalised_dice`.
        loss_name (str): See :class:`OverlapLoss`.
        **options: Of :class:`OverlapLoss`.
    """

    def __init__(
        self,
        *,
        pooled: bool = True,
        squared: bool = False,
        smooth: float = 1e-5,
        empty: str = 'perfect',
        jaccard: bool = False,
        generalised: bool = False,
        loss_name: str = 'loss_dice',
        **options: bool | float | Sequence[float] | None,
    ) -> None:
        super().__init__(loss_name=loss_name, **options)  # type: ignore[arg-type]
        if empty not in _EMPTY:
            raise ValueError(f"empty must be 'perfect' or 'skip', got {empty!r}")
        if generalised and (squared or jaccard or self.class_weight is not None):
            raise ValueError('generalised Dice has weights of its own and knows no squared, jaccard or class_weight')
        self.pooled = pooled
        self.squared = squared
        self.smooth = smooth
        self.empty = empty
        self.jaccard = jaccard
        self.generalised = generalised

    def overlap(self, probabilities: Tensor, masks: Tensor, class_weight: Tensor | None) -> Tensor:
        """See the base class."""
        if self.generalised:
            return generalised_dice(probabilities, masks, pooled=self.pooled, smooth=self.smooth)
        return soft_dice(
            probabilities,
            masks,
            pooled=self.pooled,
            squared=self.squared,
            smooth=self.smooth,
            empty=self.empty,
            jaccard=self.jaccard,
            class_weight=class_weight,
        )


@MODELS.register_module()
class SoftTverskyLoss(OverlapLoss):
    """Complement of the Tversky index (Salehi et al. 2017, doi:10.1007/978-3-319-67389-9_44), to a power.

    Args:
        alpha (float): Weight of false alarms; alpha = beta = 0.5 is Dice.
        beta (float): Weight of misses.
        gamma (float): Power of the complement: above 1 easy cases count less (focal Tversky with gamma = 4/3, Abraham
            and Khan 2019, doi:10.1109/ISBI.2019.8759329, where it is written 1/gamma).
        pooled (bool): See :class:`SoftDiceLoss`.
        smooth (float): See :class:`SoftDiceLoss`.
        loss_name (str): See :class:`OverlapLoss`.
        **options: Of :class:`OverlapLoss`.
    """

    def __init__(
        self,
        *,
        alpha: float = 0.3,
        beta: float = 0.7,
        gamma: float = 1.0,
        pooled: bool = True,
        smooth: float = 1e-5,
        loss_name: str = 'loss_tversky',
        **options: bool | float | Sequence[float] | None,
    ) -> None:
        super().__init__(loss_name=loss_name, **options)  # type: ignore[arg-type]
        if alpha < 0 or beta < 0 or alpha + beta == 0 or gamma <= 0:
            raise ValueError(f'alpha, beta and gamma must be positive, got {alpha}, {beta} and {gamma}')
        self.alpha = alpha
        self.beta = beta
        self.gamma = gamma
        self.pooled = pooled
        self.smooth = smooth

    def overlap(self, probabilities: Tensor, masks: Tensor, class_weight: Tensor | None) -> Tensor:
        """See the base class."""
        index = tversky(
            probabilities,
            masks,
            alpha=self.alpha,
            beta=self.beta,
            pooled=self.pooled,
            smooth=self.smooth,
            class_weight=class_weight,
        )
        if self.gamma == 1:
            return index
        # the slope of a root is infinite at 0
        return 1 - (1 - index).clamp_min(torch.finfo(index.dtype).eps) ** self.gamma
