"""Multi-label targets for mmseg's decode heads."""

from __future__ import annotations

from mmseg.models.decode_heads.decode_head import BaseDecodeHead
from mmseg.models.utils import resize
from torch import Tensor, nn


class MultiLabelDecodeHead(BaseDecodeHead):
    """Base of heads that learn one sigmoid channel a class where ``multi_label`` is True.

    Targets are then (N, C, H, W) masks of 0, 1 and ``ignore_index`` instead of (N, 1, H, W) labels, and the losses are
    given both as they are. With ``multi_label=False`` nothing changes.
    """

    multi_label: bool = False

    def loss_by_feat(self, seg_logits: Tensor, batch_data_samples: list) -> dict[str, Tensor]:
        """Losses of ``seg_logits`` (N, C, h, w) against the samples' masks, resized to these.

        Raises:
            ValueError: the masks have another number of channels than the logits.
        """
        if not self.multi_label:
            return super().loss_by_feat(seg_logits, batch_data_samples)
        target = self._stack_batch_gt(batch_data_samples)
        if target.shape[1] != seg_logits.shape[1]:
            raise ValueError(
                f'the multi-label head has {seg_logits.shape[1]} channels, the masks {target.shape[1]}; set the '
                "dataset's target='multilabel' and the head's num_classes to its number of lesions"
            )
        logits = resize(seg_logits, size=target.shape[2:], mode='bilinear', align_corners=self.align_corners)
        losses: dict[str, Tensor] = {}
        terms = self.loss_decode if isinstance(self.loss_decode, nn.ModuleList) else [self.loss_decode]
        for term in terms:
            value = term(logits, target, ignore_index=self.ignore_index)
            name = str(term.loss_name)
            losses[name] = losses[name] + value if name in losses else value
        return losses
