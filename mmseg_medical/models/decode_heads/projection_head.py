"""Decoder of HRNet-ResNet34."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from mmseg_medical.models.backbones.hrnet_resnet34 import RELEASED_INIT
from mmseg_medical.models.decode_heads.stream_head import StreamHead
from mmseg_medical.models.layers.aligned import concat_aligned
from mmseg_medical.models.layers.conv_group_norm import ConvGroupNorm
from mmseg_medical.registry import MODELS


@MODELS.register_module()
class ProjectionHead(StreamHead):
    """Each stream projected to 2C channels, enlarged and joined; two 3x3 convolutions to 2C and C; 1x1 to the classes.

    Args:
        in_channels (Sequence[int]): Channels of the streams, the finest first; the first is C.
        num_classes (int): K.
        init_cfg (dict | Sequence[dict] | None): As in mmengine.
        **options: Of :class:`StreamHead`.

    Raises:
        ConfigError: See :class:`StreamHead`, or channels cannot be divided into the groups of the norm.
    """

    def __init__(
        self,
        in_channels: Sequence[int] = (64, 128, 256, 512),
        *,
        num_classes: int = 4,
        init_cfg: Any = RELEASED_INIT,
        **options: Any,
    ) -> None:
        c = in_channels[0]
        init_cfg = list(init_cfg) if isinstance(init_cfg, tuple) else init_cfg
        super().__init__(in_channels, c, num_classes=num_classes, init_cfg=init_cfg, **options)
        self.projections = nn.ModuleList(ConvGroupNorm(width, 2 * c, 1) for width in in_channels)
        self.fuse = nn.Sequential(ConvGroupNorm(2 * c * len(in_channels), 2 * c), ConvGroupNorm(2 * c, c))

    def decode(self, streams: Sequence[Tensor], size: Sequence[int]) -> Tensor:
        """Logits (N, K, H_0, W_0) of streams (N, C_i, H_i, W_i)."""
        joined = concat_aligned([project(x) for project, x in zip(self.projections, streams, strict=True)])
        return self.cls_seg(self.fuse(joined))
