"""What high-resolution networks do to the image before their streams part."""

from __future__ import annotations

from torch import nn

from mmseg_medical.errors import ConfigError, did_you_mean
from mmseg_medical.models.layers.conv_group_norm import ConvGroupNorm

#: name -> (channels after the first convolution, stride of both)
_HRNET_STEMS = {'standard': (64, 2), 'full': (32, 1)}
STEMS = tuple(_HRNET_STEMS)
#: channels of :class:`HRNetStem`
STEM_CHANNELS = 64


class HRNetStem(nn.Sequential):
    """Two 3x3 convolutions with norm and ReLU: (N, in_channels, H, W) to (N, 64, H / s, W / s), rounded up.

    Args:
        in_channels (int): Channels of the image.
        name (str): ``'standard'``: s = 4, or ``'full'`` resolution: s = 1 and half as many inner channels.

    Raises:
        ConfigError: The name is unknown.
    """

    def __init__(self, in_channels: int, name: str = 'full') -> None:
        check_stem(name)
        inner, stride = _HRNET_STEMS[name]
        super().__init__(
            ConvGroupNorm(in_channels, inner, stride=stride), ConvGroupNorm(inner, STEM_CHANNELS, stride=stride)
        )


class ResNetStem(nn.Sequential):
    """Stem of HRNet-ResNet34: (N, in_channels, H, W) to (N, channels, H / s, W / s), rounded up.

    Args:
        in_channels (int): Channels of the image.
        channels (int): C of the result.
        name (str): ``'standard'``: 7x7 convolution and max pooling, s = 4; ``'full'`` resolution: two 3x3 convolutions,
            C / 2 channels between them, s = 1.

    Raises:
        ConfigError: The name is unknown.
    """

    def __init__(self, in_channels: int, channels: int, name: str = 'full') -> None:
        check_stem(name)
        if name == 'standard':
            super().__init__(ConvGroupNorm(in_channels, channels, 7, 2), nn.MaxPool2d(3, 2, 1))
        else:
            super().__init__(ConvGroupNorm(in_channels, channels // 2), ConvGroupNorm(channels // 2, channels))


def check_stem(name: str) -> None:
    """Raise a ConfigError if there is no such stem."""
    if name not in STEMS:
        raise ConfigError(f"stem={name!r} is unknown; choose 'standard' or 'full'.{did_you_mean(name, STEMS)}")
