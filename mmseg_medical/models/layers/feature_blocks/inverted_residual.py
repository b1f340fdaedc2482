"""Inverted residual block."""

from __future__ import annotations

from torch import Tensor, nn

from mmseg_medical.models.layers.feature_blocks.norm import group_norm

EXPANSION = 4


class InvertedResidualBlock(nn.Module):
    """Widen by 1x1, convolve depth-wise by 3x3, narrow by 1x1, add (Sandler et al. 2018, arXiv:1801.04381).

    A norm follows every convolution, SiLU the first two.

    Args:
        channels (int): C; 8 must divide it unless it is smaller.

    Raises:
        ConfigError: The channels cannot be divided into the groups of the norm.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        hidden = EXPANSION * channels
        self.expand = nn.Conv2d(channels, hidden, 1, bias=False)
        self.norm1 = group_norm(hidden)
        self.depthwise = nn.Conv2d(hidden, hidden, 3, padding=1, groups=hidden, bias=False)
        self.norm2 = group_norm(hidden)
        self.reduce = nn.Conv2d(hidden, channels, 1, bias=False)
        self.norm3 = group_norm(channels)
        self.act = nn.SiLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, C, H, W) to the same shape."""
        y = self.act(self.norm1(self.expand(x)))
        y = self.act(self.norm2(self.depthwise(y)))
        return x + self.norm3(self.reduce(y))
