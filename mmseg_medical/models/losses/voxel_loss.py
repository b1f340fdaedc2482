"""Base of the losses of any rank: mmseg's loss interface around a pure function."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from mmseg_medical.models.losses.targets import check_target, check_values, full_precision, kept_voxels

REDUCTIONS = ('mean', 'sum', 'none')


class VoxelLoss(nn.Module):
    """Logits (N, K, *S) and targets to a scalar, computed in float32 also under autocast.

    A loss implements :meth:`terms`; what is common to all is here.

    Args:
        use_sigmoid (bool): Classes may overlap: sigmoid and masks (N, K, *S), otherwise softmax and labels (N, *S).
        class_weight (Sequence[float] | None): One a class, the background included.
        reduction (str): ``'mean'``, ``'sum'`` or ``'none'`` of the terms: voxels for cross entropies, classes (and
            samples) for overlaps.
        loss_weight (float): Factor; hooks may change the attribute during training.
        loss_name (str): Key in the log; mmengine adds up only names that contain ``loss``.

    Raises:
        ValueError: An unknown reduction, or a name that would be logged but not trained on.
    """

    #: Whether terms are voxels, which a weight of each voxel can multiply.
    by_voxel = False
    class_weight: Tensor | None

    def __init__(
        self,
        *,
        use_sigmoid: bool = False,
        class_weight: Sequence[float] | None = None,
        reduction: str = 'mean',
        loss_weight: float = 1.0,
        loss_name: str = 'loss_voxel',
    ) -> None:
        super().__init__()
        _check_reduction(reduction)
        if not loss_name.startswith('loss_'):
            raise ValueError(f"loss_name={loss_name!r} must start with 'loss_', or it is logged but not trained on")
        self.use_sigmoid = use_sigmoid
        weight = None if class_weight is None else torch.tensor(class_weight, dtype=torch.float32)
        self.register_buffer('class_weight', weight, persistent=False)
        self.reduction = reduction
        self.loss_weight = loss_weight
        self._loss_name = loss_name

    @property
    def loss_name(self) -> str:
        """Key in the log."""
        return self._loss_name

    def terms(self, logits: Tensor, target: Tensor, kept: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """Loss of each voxel or class.

        Args:
            logits (Tensor): shape (N, K, *S), float32 or float64.
            target (Tensor): as :meth:`forward` gets it.
            kept (Tensor | None): Voxels that count, bool of the target's shape; None: all.

        Returns:
            tuple[Tensor, Tensor | None]: Terms, and the share of each in their mean (None: equal).
        """
        raise NotImplementedError

    def forward(
        self,
        cls_score: Tensor,
        label: Tensor,
        weight: Tensor | None = None,
        avg_factor: float | None = None,
        reduction_override: str | None = None,
        ignore_index: int | None = 255,
        **kwargs: object,
    ) -> Tensor:
        """mmseg's loss interface.

        Args:
            cls_score (Tensor): shape (N, K, *S), logits of any floating type.
            label (Tensor): integer labels (N, *S), or masks (N, K, *S) of 0, 1 and ``ignore_index`` with
                ``use_sigmoid``.
            weight (Tensor | None): Factor of each voxel, of the shape of ``label``; only where terms are voxels.
            avg_factor (float | None): Divides the sum instead of the number of voxels, with ``'mean'``; likewise.
            reduction_override (str | None): Instead of ``reduction``.
            ignore_index (int | None): Value of voxels that do not count; None: all do.
            kwargs (object): The rest of mmseg's interface, not used here.

        Returns:
            Tensor: Scalar; with ``'none'`` the terms. A differentiable 0 if nothing counts.

        Raises:
            ValueError: Shapes, values, weights or the reduction do not fit.
        """
        self.check(cls_score, label)
        if not self.by_voxel and (weight is not None or avg_factor is not None):
            raise ValueError(
                f'{type(self).__name__} has no term a voxel, weight and avg_factor (of a pixel sampler) fit '
                'VoxelCrossEntropyLoss and VoxelFocalLoss only'
            )
        reduction = _check_reduction(reduction_override or self.reduction)
        with torch.autocast(cls_score.device.type, enabled=False):
            kept = kept_voxels(label, ignore_index)
            check_values(label, kept, 2 if self.use_sigmoid else cls_score.shape[1])
            target = label if self.use_sigmoid else label.long()
            values, share = self.terms(full_precision(cls_score), target, kept)
            if weight is not None:
                values = values * weight
            return self.loss_weight * reduce_terms(values, share, reduction, avg_factor)

    def check(self, logits: Tensor, target: Tensor) -> None:
        """Compare shapes.

        Raises:
            ValueError: They do not fit, or the class weights are not as many as channels.
        """
        check_target(logits, target, self.use_sigmoid)
        if self.class_weight is not None and len(self.class_weight) != logits.shape[1]:
            raise ValueError(f'{len(self.class_weight)} class weights for logits of {logits.shape[1]} channels')

    def weight_of_classes(self, like: Tensor) -> Tensor | None:
        """Class weights in the type of ``like``, or None."""
        return None if self.class_weight is None else self.class_weight.to(like)


def reduce_terms(values: Tensor, share: Tensor | None, reduction: str, divisor: float | None = None) -> Tensor:
    """Put terms together.

    Args:
        values (Tensor): Any shape.
        share (Tensor | None): Share of each in the mean, 0 for those that do not count; shape of ``values`` or one that
            broadcasts to it. None: 1 each.
        reduction (str): ``'mean'``, ``'sum'`` or ``'none'``.
        divisor (float | None): Of the mean, instead of the sum of the shares.

    Returns:
        Tensor: Scalar, or the shape of ``values``; 0 with a gradient of 0 if nothing counts.
    """
    if share is not None:
        values = values * share
    if reduction == 'none':
        return values
    total = values.sum()
    if reduction == 'sum':
        return total
    if divisor is not None:
        return total / divisor
    if share is None:
        return total / max(values.numel(), 1)
    number = share.expand_as(values).sum(dtype=values.dtype)
    return total / number.clamp_min(torch.finfo(values.dtype).tiny)


def _check_reduction(reduction: str) -> str:
    if reduction not in REDUCTIONS:
        raise ValueError(f'reduction must be one of {", ".join(REDUCTIONS)}, got {reduction!r}')
    return reduction
