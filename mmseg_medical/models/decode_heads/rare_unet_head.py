"""Classifiers of RARE-UNet's levels, and its losses."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mmseg.structures import SegDataSample
from torch import Tensor

from mmseg_medical.models.decode_heads.volume_head import VolumeHead
from mmseg_medical.models.losses.consistency import consistency_loss, consistency_terms
from mmseg_medical.registry import MODELS

# What the published code computes, and what its text says: means over the levels.
PRESETS: dict[str, dict[str, str]] = {
    'released': dict(supervision_weights='depth', consistency_norm='squared', target_resize='nearest'),
    'corrected': dict(supervision_weights='equal', consistency_norm='mean', target_resize='linear'),
}
#: 0.35 times the cross-entropy and 0.65 times one minus the Dice of the foreground over the batch
RELEASED_LOSS: dict[str, Any] = dict(type='DiceCELoss', dice_weight=0.65, ce_weight=0.35, smooth=0)


@MODELS.register_module()
class RAREUNetHead(VolumeHead):
    """A 1x1 convolution a level; in training the losses of all levels and the consistency of the gates.

    The loss is ``sum_d w_d l(logits_d, target_d) + consistency_weight * consistency_factor * consistency``, where the
    factor is 1 unless ``ConsistencyRampHook`` lets it rise. Arguments that default to None take the value of the
    preset ``mode``; given ones win.

    Args:
        mode (str): Preset, ``'released'`` or ``'corrected'``.
        in_channels (Sequence[int]): Channels of the levels 0..S, full resolution first.
        num_classes (int): With the background.
        num_divisions (int): Number L of halvings of the network, by which the release divides.
        supervision_weights (str | Sequence[float] | None): w_d: ``'depth'`` 1/L, so that they add up to (S + 1)/L, or
            as :func:`~mmseg_medical.models.losses.deep_supervision.deep_supervision` takes them: ``'equal'`` 1/(S + 1),
            ``'halving'``, or one number a level.
        consistency_weight (float): 0 for none.
        consistency_norm (str | None): See :func:`~mmseg_medical.models.losses.consistency.consistency_loss`.
        target_resize (str | None): How targets get the size of coarser logits, see
            :func:`~mmseg_medical.models.losses.deep_supervision.resize_target`.
        **options: Of :class:`VolumeHead`.

    Raises:
        ValueError: An unknown mode.
    """

    def __init__(
        self,
        mode: str = 'released',
        *,
        in_channels: Sequence[int] = (32, 64, 128, 256),
        num_classes: int = 3,
        num_divisions: int = 5,
        supervision_weights: str | Sequence[float] | None = None,
        consistency_weight: float = 1.0,
        consistency_norm: str | None = None,
        target_resize: str | None = None,
        **options: Any,
    ) -> None:
        if mode not in PRESETS:
            raise ValueError(f'mode={mode!r} is unknown; choose one of {", ".join(PRESETS)}')
        preset = PRESETS[mode]
        weights = preset['supervision_weights'] if supervision_weights is None else supervision_weights
        if weights == 'depth':
            weights = [1 / num_divisions] * len(in_channels)
        super().__init__(
            in_channels,
            num_classes,
            supervision_weights=weights,
            target_resize=target_resize or preset['target_resize'],
            **{'loss_decode': RELEASED_LOSS, **options},
        )
        self.consistency_weight = consistency_weight
        self.consistency_norm = consistency_norm or preset['consistency_norm']
        self.consistency_factor = 1.0

    def forward(self, inputs: Any) -> tuple[Tensor, ...]:
        """Logits (N, K, *S_d) of the maps of a :class:`ScaleMaps`, in its order."""
        return tuple(self.classifiers[d](x) for x, d in zip(inputs.maps, inputs.levels, strict=True))

    def loss(self, inputs: Any, batch_data_samples: Sequence[SegDataSample]) -> dict[str, Tensor]:
        """Losses of a batch.

        Args:
            inputs (ScaleMaps): Of all levels.
            batch_data_samples (Sequence[SegDataSample]): With ``gt_sem_seg``.

        Returns:
            dict[str, Tensor]: The losses, ``loss_consistency``, and ``consistency_scale{d}``, which is only logged.
        """
        losses = self.loss_by_logits(self(inputs), self.targets(batch_data_samples))
        if self.consistency_weight:
            terms = consistency_terms(inputs.pairs)
            factor = self.consistency_weight * self.consistency_factor
            losses['loss_consistency'] = factor * consistency_loss(terms, self.consistency_norm)
            losses |= {f'consistency_scale{d}': term.detach() for d, term in enumerate(terms, 1)}
        return losses
