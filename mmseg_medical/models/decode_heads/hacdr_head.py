"""HACDR-Net's decoder."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from mmcv.cnn import ConvModule
from mmseg.models.utils import resize
from torch import Tensor, nn

from mmseg_medical.models.decode_heads.multi_label_head import MultiLabelDecodeHead
from mmseg_medical.registry import MODELS


class DoubleConv(nn.Sequential):
    """Twice 3x3 convolution, BatchNorm, GELU."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__(
            nn.Conv2d(in_channels, out_channels, 3, padding=1),
            nn.BatchNorm2d(out_channels),
            nn.GELU(),
            nn.Conv2d(out_channels, out_channels, 3, padding=1),
            nn.BatchNorm2d(out_channels),
            nn.GELU(),
        )


@MODELS.register_module()
class HACDRHead(MultiLabelDecodeHead):
    """U-Net decoder: each step resizes the deeper map to the skip's size and fuses both.

    The defaults are the published configuration: 1,034,981 parameters for four stages and five classes.

    Args:
        in_channels: channels of the backbone's stages, shallow first.
        in_index: which of the backbone's outputs these are.
        channels: before the classifier.
        num_classes: of the data set.
        dropout_ratio: of whole channels before the classifier.
        norm_cfg: of the 1x1 convolution before the classifier.
        multi_label: one sigmoid a class instead of a softmax over the classes.
        kwargs: of mmseg's ``BaseDecodeHead``.
    """

    def __init__(
        self,
        in_channels: Sequence[int] = (32, 64, 160, 256),
        in_index: Sequence[int] = (0, 1, 2, 3),
        channels: int = 32,
        *,
        num_classes: int = 5,
        dropout_ratio: float = 0.2,
        norm_cfg: dict[str, Any] | None = None,
        multi_label: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(
            in_channels=tuple(in_channels),
            in_index=tuple(in_index),
            channels=channels,
            num_classes=num_classes,
            dropout_ratio=dropout_ratio,
            norm_cfg=norm_cfg or dict(type='BN'),
            input_transform='multiple_select',
            **kwargs,
        )
        self.multi_label = multi_label
        self.decoders = nn.ModuleList(
            DoubleConv(skip + deep, skip)
            for skip, deep in zip(self.in_channels[-2::-1], self.in_channels[:0:-1], strict=True)
        )
        self.align = ConvModule(self.in_channels[0], channels, 1, norm_cfg=self.norm_cfg, act_cfg=dict(type='ReLU'))

    def forward(self, inputs: Sequence[Tensor]) -> Tensor:
        """Logits at the size of the shallowest map.

        Args:
            inputs: one (N, C_i, H_i, W_i) map a stage, shallow first.

        Returns:
            Tensor of shape (N, num_classes, H_0, W_0), unnormalised.
        """
        *skips, x = self._transform_inputs(inputs)
        for skip, decoder in zip(reversed(skips), self.decoders, strict=True):
            x = resize(x, size=skip.shape[2:], mode='bilinear', align_corners=self.align_corners)
            x = decoder(torch.cat((skip, x), dim=1))
        return self.cls_seg(self.align(x))
