"""Residual block of two 3x3 convolutions."""

from __future__ import annotations

from torch import Tensor, nn

from mmseg_medical.models.layers.feature_blocks.norm import group_norm


class BasicBlock(nn.Module):
    """Convolution, norm, ReLU, convolution, norm, add, ReLU (He et al., CVPR 2016, doi:10.1109/CVPR.2016.90).

    Args:
        channels (int): C; 8 must divide it unless it is smaller.

    Raises:
        ConfigError: The channels cannot be divided into the groups of the norm.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.norm1 = group_norm(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.norm2 = group_norm(channels)
        self.act = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, C, H, W) to the same shape."""
        y = self.act(self.norm1(self.conv1(x)))
        return self.act(self.norm2(self.conv2(y)) + x)
