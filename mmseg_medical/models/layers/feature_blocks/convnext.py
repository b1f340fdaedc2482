"""ConvNeXt's residual block."""

from __future__ import annotations

import torch
from mmcv.cnn.bricks import DropPath
from torch import Tensor, nn

from mmseg_medical.models.layers.feature_blocks.mlp import channel_mlp


class ConvNeXtBlock(nn.Module):
    """Depth-wise 7x7 convolution, layer norm, MLP, scale a channel, add (Liu et al. 2022, arXiv:2201.03545).

    Args:
        channels (int): C.
        initial_scale (float): Every channel's scale at the start.
        drop_path_rate (float): Probability that a sample skips the branch.
    """

    def __init__(self, channels: int, *, initial_scale: float = 1e-6, drop_path_rate: float = 0.0) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 7, padding=3, groups=channels)
        self.norm = nn.LayerNorm(channels, eps=1e-6)
        self.mlp = channel_mlp(channels)
        self.scale = nn.Parameter(torch.full((channels,), initial_scale))
        self.drop_path = DropPath(drop_path_rate) if drop_path_rate > 0 else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, C, H, W) to the same shape."""
        y = self.norm(self.conv(x).permute(0, 2, 3, 1))
        y = (self.scale * self.mlp(y)).permute(0, 3, 1, 2)
        return x + self.drop_path(y)
