"""The residual block of HACDR-Net."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from mmcv.cnn.bricks import DropPath
from torch import Tensor, nn

from mmseg_medical.models.layers.deform_conv import ModulatedDeformConv2dPack
from mmseg_medical.models.layers.heterogeneous_attention import HeterogeneousAttention


class ConvFeedForward(nn.Module):
    """1x1 expansion, 3x3 depth-wise convolution, GELU, dropout, 1x1 reduction, dropout.

    Args:
        channels: C.
        hidden_channels: after the expansion.
        deformable: the 3x3 convolution, still depth-wise, is deformable.
        act_last: GELU after the reduction instead of before it.
        drop_rate: of both element-wise dropouts.
        backend: of the deformable operator.
    """

    def __init__(
        self,
        channels: int,
        hidden_channels: int,
        *,
        deformable: bool = False,
        act_last: bool = False,
        drop_rate: float = 0.0,
        backend: str = 'auto',
    ) -> None:
        super().__init__()
        self.expand = nn.Conv2d(channels, hidden_channels, 1)
        self.depthwise: nn.Module
        if deformable:
            self.depthwise = ModulatedDeformConv2dPack(
                hidden_channels, hidden_channels, 3, padding=1, groups=hidden_channels, backend=backend
            )
        else:
            self.depthwise = nn.Conv2d(hidden_channels, hidden_channels, 3, padding=1, groups=hidden_channels)
        self.act = nn.GELU()
        self.reduce = nn.Conv2d(hidden_channels, channels, 1)
        self.dropout = nn.Dropout(drop_rate)
        self.act_last = act_last

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, C, H, W) to the same shape."""
        x = self.depthwise(self.expand(x))
        if not self.act_last:
            x = self.act(x)
        x = self.reduce(self.dropout(x))
        if self.act_last:
            x = self.act(x)
        return self.dropout(x)


class HACDRBlock(nn.Module):
    """Attention, then feed-forward, each on the normalised input, scaled per channel and added to it.

    Args:
        channels: C.
        hidden_channels: of the feed-forward.
        drop_path_rate: probability that a sample skips a residual branch.
        attention: further arguments of :class:`HeterogeneousAttention`.
        feed_forward: further arguments of :class:`ConvFeedForward`.
    """

    def __init__(
        self,
        channels: int,
        hidden_channels: int,
        *,
        drop_path_rate: float = 0.0,
        attention: Mapping[str, Any] | None = None,
        feed_forward: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__()
        self.norm1 = nn.BatchNorm2d(channels)
        self.attn = HeterogeneousAttention(channels, **(attention or {}))
        self.norm2 = nn.BatchNorm2d(channels)
        self.ffn = ConvFeedForward(channels, hidden_channels, **(feed_forward or {}))
        self.layer_scale1 = nn.Parameter(torch.full((channels,), 0.01))
        self.layer_scale2 = nn.Parameter(torch.full((channels,), 0.01))
        self.drop_path = DropPath(drop_path_rate) if drop_path_rate > 0 else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, C, H, W) to the same shape."""
        x = x + self.drop_path(self.layer_scale1[:, None, None] * self.attn(self.norm1(x)))
        return x + self.drop_path(self.layer_scale2[:, None, None] * self.ffn(self.norm2(x)))
