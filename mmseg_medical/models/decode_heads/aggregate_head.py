"""HDC-HRNet's head."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from mmseg_medical.models.decode_heads.stream_head import StreamHead
from mmseg_medical.models.layers.aligned import concat_aligned, resize_aligned
from mmseg_medical.models.layers.stream_classifier import StreamClassifier
from mmseg_medical.registry import MODELS


@MODELS.register_module()
class AggregateHead(StreamHead):
    """1x1 convolution of all streams, enlarged to the finest and joined.

    The joined features of F = sum C_i channels are only built where ``refine`` asks for them.

    Args:
        in_channels (Sequence[int]): C_i of the streams, the finest first.
        num_classes (int): K.
        refine (dict | None): Registered layer that maps the joined features (N, F, h, w) to the same shape, built with
            ``channels=F`` unless it says otherwise.
        implicit (dict | None): Registered implicit head that maps streams of F channels and a size to logits
            (N, K, H, W), e.g. ``dict(type='ShearletHead')``, built with ``in_channels=F`` and ``num_classes=K`` unless
            it says otherwise. The result is ``(1 - w) * logits + w * implicit`` with ``w = sigmoid(implicit_fusion)``,
            learnt, 0.622459 at first.
        **options: Of :class:`StreamHead`.

    Raises:
        ConfigError: See :class:`StreamHead`.
    """

    def __init__(
        self,
        in_channels: Sequence[int] = (48, 96, 192, 384),
        *,
        num_classes: int = 4,
        refine: dict | None = None,
        implicit: dict | None = None,
        **options: Any,
    ) -> None:
        features = sum(in_channels)
        super().__init__(in_channels, features, num_classes=num_classes, **options)
        self.conv_seg = StreamClassifier(features, self.out_channels)
        self.refine = None if refine is None else MODELS.build({'channels': features, **refine})
        self.implicit = None
        if implicit is not None:
            self.implicit = MODELS.build({'in_channels': features, 'num_classes': self.out_channels, **implicit})
            self.implicit_fusion = nn.Parameter(torch.tensor(0.5))

    def decode(self, streams: Sequence[Tensor], size: Sequence[int]) -> Tensor:
        """Logits (N, K, h, w) of streams (N, C_i, H_i, W_i)."""
        return self.logits_of(self.features_of(streams), size)

    def features_of(self, streams: Sequence[Tensor]) -> list[Tensor]:
        """Maps that, enlarged to the first and joined, are the features (N, F, h, w)."""
        return list(streams) if self.refine is None else [self.refine(concat_aligned(streams))]

    def logits_of(self, maps: Sequence[Tensor], size: Sequence[int]) -> Tensor:
        """Logits (N, K, h, w) of what :meth:`features_of` gives; of the size of the image if ``implicit`` is there."""
        logits = self.cls_seg(maps)
        if self.implicit is None:
            return logits
        share = self.implicit_fusion.sigmoid()
        fine = self.implicit(maps, (int(size[0]), int(size[1])))
        return (1 - share) * resize_aligned(logits, size) + share * fine

    def cls_seg(self, feat: Sequence[Tensor]) -> Tensor:
        """Classify the pixels of maps, enlarged to the first and joined."""
        return self.conv_seg([x if self.dropout is None else self.dropout(x) for x in feat])
