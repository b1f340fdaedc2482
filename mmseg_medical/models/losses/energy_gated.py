"""Loss of HDC-HRNet's energy-gated implicit decoders: a coarse and a fine prediction."""

from __future__ import annotations

from torch import Tensor

from mmseg_medical.errors import ConfigError
from mmseg_medical.models.losses.cross_entropy import VoxelCrossEntropyLoss
from mmseg_medical.models.losses.dice_ce import DiceCELoss
from mmseg_medical.models.losses.eye_opening import EyeOpeningLoss
from mmseg_medical.models.losses.targets import full_precision, kept_voxels
from mmseg_medical.models.losses.voxel_loss import reduce_terms
from mmseg_medical.registry import MODELS

KL_MEANS = ('batch', 'voxel')


def kl_divergence(logits: Tensor, reference: Tensor) -> Tensor:
    """Kullback-Leibler divergence KL(p, q) of each voxel.

    Args:
        logits (Tensor): of p, shape (N, K, *S).
        reference (Tensor): of q, same shape.

    Returns:
        Tensor: ``sum_c p_c (log p_c - log q_c)``, shape (N, *S).
    """
    log_p = logits.log_softmax(1)
    return (log_p.exp() * (log_p - reference.log_softmax(1))).sum(1)


@MODELS.register_module()
class EnergyGatedLoss(DiceCELoss):
    """Dice and cross entropy, :class:`EyeOpeningLoss`, and the terms of a coarse and a fine prediction, if given.

    ``Dice + CE + CE(fine) + eye opening + kl_weight * KL(fine, coarse)``, see :meth:`forward`.

    Args:
        kl_weight (float): Of the divergence of the coarse prediction from the fine one.
        kl_mean (str): ``'batch'``: sum over the voxels, mean over the samples, as released, which grows with the size
            of the image; ``'voxel'``: mean over the voxels.
        loss_weight (float): Factor of the sum.
        loss_name (str): Key in the log.

    Raises:
        ConfigError: An unknown ``kl_mean``, or a negative ``kl_weight``.
    """

    def __init__(
        self,
        *,
        kl_weight: float = 0.1,
        kl_mean: str = 'batch',
        loss_weight: float = 1.0,
        loss_name: str = 'loss_energy_gated',
    ) -> None:
        super().__init__(pooled=False, include_background=True, loss_weight=loss_weight, loss_name=loss_name)
        if kl_mean not in KL_MEANS or kl_weight < 0:
            raise ConfigError(
                f'kl_mean must be one of {KL_MEANS} and kl_weight not negative, got {kl_mean!r} and {kl_weight}'
            )
        self.kl_weight = kl_weight
        self.kl_mean = kl_mean
        self.eye_opening = EyeOpeningLoss()
        self.fine = VoxelCrossEntropyLoss()

    def set_epoch(self, epoch: int) -> None:
        """Weigh the eye opening as in an epoch, counted from 0."""
        self.eye_opening.set_epoch(epoch)

    def forward(  # type: ignore[override]
        self,
        cls_score: Tensor,
        label: Tensor,
        weight: Tensor | None = None,
        avg_factor: float | None = None,
        reduction_override: str | None = None,
        ignore_index: int | None = 255,
        *,
        fine: Tensor | None = None,
        coarse: Tensor | None = None,
        energy: Tensor | None = None,
        **kwargs: object,
    ) -> Tensor:
        """mmseg's loss interface, and what an energy-gated decoder adds.

        Args:
            cls_score (Tensor): shape (N, K, *S), logits.
            label (Tensor): integer labels (N, *S).
            weight (Tensor | None): Not supported, as in the base class.
            avg_factor (float | None): Likewise.
            reduction_override (str | None): Likewise; the sum is a scalar.
            ignore_index (int | None): Value of voxels that do not count.
            fine (Tensor | None): Logits of the fine prediction, of the shape of ``cls_score``.
            coarse (Tensor | None): Logits of the coarse prediction, likewise; used beside ``fine`` only.
            energy (Tensor | None): Factor of the eye opening of each voxel, shape (N, *S).
            kwargs (object): The rest of mmseg's interface, not used here.

        Returns:
            Tensor: Scalar.

        Raises:
            ValueError: Shapes or values do not fit, or there is ``coarse`` without ``fine``.
        """
        total = super().forward(cls_score, label, weight, avg_factor, reduction_override, ignore_index)
        extra = self.eye_opening(cls_score, label, energy, ignore_index=ignore_index)
        if fine is not None:
            extra = extra + self.fine(fine, label, ignore_index=ignore_index)
        if coarse is not None:
            if fine is None or fine.shape != coarse.shape:
                raise ValueError(
                    f'coarse logits {tuple(coarse.shape)} need fine ones of that shape, got '
                    f'{None if fine is None else tuple(fine.shape)}'
                )
            extra = extra + self.kl_weight * self._divergence(fine, coarse, kept_voxels(label, ignore_index))
        return total + self.loss_weight * extra

    def _divergence(self, fine: Tensor, coarse: Tensor, kept: Tensor | None) -> Tensor:
        values = kl_divergence(full_precision(fine), full_precision(coarse))
        return reduce_terms(values, kept, 'mean', len(values) if self.kl_mean == 'batch' else None)
