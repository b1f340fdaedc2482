"""Residual bottleneck with group norm."""

from __future__ import annotations

from torch import Tensor, nn

from mmseg_medical.models.layers.conv_group_norm import ConvGroupNorm


class Bottleneck(nn.Module):
    """1x1, 3x3 and 1x1 convolution, added to the input (He et al., CVPR 2016, doi:10.1109/CVPR.2016.90).

    The shortcut is the input, or its 1x1 convolution with norm where the channels change.

    Args:
        in_channels (int): Channels of the input.
        channels (int): C of the two inner maps.
        out_channels (int | None): Of the output; None for 4C.

    Raises:
        ConfigError: Channels cannot be divided into the groups of the norm.
    """

    def __init__(self, in_channels: int, channels: int, out_channels: int | None = None) -> None:
        super().__init__()
        out_channels = 4 * channels if out_channels is None else out_channels
        self.conv1 = ConvGroupNorm(in_channels, channels, 1)
        self.conv2 = ConvGroupNorm(channels, channels)
        self.conv3 = ConvGroupNorm(channels, out_channels, 1, act=None)
        self.shortcut: nn.Module = nn.Identity()
        if in_channels != out_channels:
            self.shortcut = ConvGroupNorm(in_channels, out_channels, 1, act=None)
        self.act = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, in_channels, H, W) to (N, out_channels, H, W)."""
        return self.act(self.conv3(self.conv2(self.conv1(x))) + self.shortcut(x))
