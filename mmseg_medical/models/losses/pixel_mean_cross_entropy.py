"""Cross-entropy averaged as mmseg 0.x did, on which HACDR-Net's recipe rests."""

from __future__ import annotations

from typing import Any

from mmseg.models.losses import CrossEntropyLoss
from torch import Tensor

from mmseg_medical.registry import MODELS


@MODELS.register_module()
class PixelMeanCrossEntropyLoss(CrossEntropyLoss):
    """mmseg's cross-entropy whose mean divides by the number of pixels, ignored ones included.

    mmseg 1.x divides by the sum of the pixels' class weights instead as soon as ``class_weight`` is given, which
    changes the size of the step with the lesions of an image. Arguments are those of mmseg's ``CrossEntropyLoss``.
    """

    def __init__(self, **kwargs: Any) -> None:
        # avg_non_ignore is never asked when an avg_factor is given; True silences mmseg's warning about its default.
        super().__init__(avg_non_ignore=True, **kwargs)

    def forward(
        self, cls_score: Tensor, label: Tensor, weight: Tensor | None = None, avg_factor: float | None = None,
        reduction_override: str | None = None, **kwargs: Any,
    ) -> Tensor:  # fmt: skip
        """mmseg's loss interface: logits (N, C, *S) and labels (N, *S)."""
        if avg_factor is None and (reduction_override or self.reduction) == 'mean':
            avg_factor = label.numel()
        return super().forward(cls_score, label, weight, avg_factor, reduction_override, **kwargs)
