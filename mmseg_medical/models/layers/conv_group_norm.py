"""Convolution, group norm, activation: the unit HDC-HRNet is made of."""

from __future__ import annotations

from torch import nn

from mmseg_medical.models.layers.conv_blocks import activation
from mmseg_medical.models.layers.feature_blocks.norm import group_norm


class ConvGroupNorm(nn.Sequential):
    """2D convolution without bias that keeps the size, divided by the stride and rounded up; group norm; activation.

    Args:
        in_channels (int): Channels of the input.
        out_channels (int): Channels of the output; 8 must divide them unless there are fewer.
        kernel_size (int): Odd.
        stride (int): Of the convolution.
        act (str | None): Name of the activation, see :func:`~mmseg_medical.models.layers.conv_blocks.activation`; None
            for none.

    Raises:
        ConfigError: The channels cannot be divided into the groups of the norm.
    """

    def __init__(
        self, in_channels: int, out_channels: int, kernel_size: int = 3, stride: int = 1, act: str | None = 'relu'
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, out_channels, kernel_size, stride, kernel_size // 2, bias=False)
        self.norm = group_norm(out_channels)
        if act is not None:
            self.act = activation(act)
