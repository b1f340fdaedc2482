"""A loss that is given several maps of logits."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from mmseg_medical.errors import ConfigError
from mmseg_medical.models.losses.deep_supervision import TARGET_RESIZES, deep_supervision
from mmseg_medical.registry import MODELS


@MODELS.register_module()
class DeepSupervisionLoss(nn.Module):
    """Weighted sum of one loss over the outputs of a network, the main one first.

    For heads that give their losses all logits at once; heads of mmseg get ``auxiliary_head`` instead, each with a
    ``loss_weight``. Weights are not divided by their sum.

    Args:
        loss (dict): Config of the loss.
        weights (Sequence[float]): Of the outputs; of fewer outputs the first ones. HDC-HRNet's ACDC script has
            (1, 0.4, 0.3, 0.2, 0.1), its class of this name (1, 0.5, 0.25, 0.125).
        target_resize (str): What becomes of outputs that are smaller than the target, see
            :func:`~mmseg_medical.models.losses.deep_supervision.deep_supervision`.
        align_corners (bool): See there.
        loss_name (str | None): Key in the log; None: that of the loss.

    Raises:
        ConfigError: No weight, a negative one, a first one of 0, or an unknown ``target_resize``.
        ValueError: A ``loss_name`` that would be logged but not trained on.
    """

    def __init__(
        self,
        loss: dict,
        weights: Sequence[float] = (1.0, 0.4, 0.3, 0.2, 0.1),
        *,
        target_resize: str = 'keep',
        align_corners: bool = True,
        loss_name: str | None = None,
    ) -> None:
        super().__init__()
        if not weights or min(weights) < 0 or weights[0] == 0:
            raise ConfigError(f'weights of DeepSupervisionLoss must not be negative, the first not 0, got {weights}')
        if target_resize not in (*TARGET_RESIZES, 'keep'):
            raise ConfigError(f'target_resize must be one of {(*TARGET_RESIZES, "keep")}, got {target_resize!r}')
        if loss_name is not None and not loss_name.startswith('loss_'):
            raise ValueError(f"loss_name={loss_name!r} must start with 'loss_', or it is logged but not trained on")
        self.loss = MODELS.build(dict(loss))
        self.weights = tuple(weights)
        self.target_resize = target_resize
        self.align_corners = align_corners
        self._loss_name = loss_name or str(self.loss.loss_name)

    @property
    def loss_name(self) -> str:
        """Key in the log."""
        return self._loss_name

    def forward(self, cls_score: Tensor | Sequence[Tensor], label: Tensor, **kwargs: object) -> Tensor:
        """Sum over the outputs.

        Args:
            cls_score (Tensor | Sequence[Tensor]): logits (N, K, *S_k), the main ones first; or these alone.
            label (Tensor): integer labels (N, *S), or masks (N, K, *S).
            kwargs (object): Passed to the loss, such as ``ignore_index``.

        Returns:
            Tensor: Scalar.

        Raises:
            ValueError: There are more outputs than weights, or none.
        """
        outputs = [cls_score] if isinstance(cls_score, Tensor) else list(cls_score)
        if not 0 < len(outputs) <= len(self.weights):
            raise ValueError(f'{len(outputs)} outputs for {len(self.weights)} weights of DeepSupervisionLoss')

        def one(logits: Tensor, target: Tensor) -> Tensor:
            return self.loss(logits, target, **kwargs)

        return deep_supervision(
            one, outputs, label, self.weights[: len(outputs)], self.target_resize, self.align_corners
        )
