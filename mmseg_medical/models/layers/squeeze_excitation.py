"""Squeeze and excitation of any rank."""

from __future__ import annotations

from torch import Tensor, nn

from mmseg_medical.errors import ConfigError


class SqueezeExcitation(nn.Module):
    """Factors of channels from their means over space (Hu et al., CVPR 2018, doi:10.1109/CVPR.2018.00745).

    Args:
        channels (int): C.
        reduction (int): Divides the channels between the two layers, rounded down.

    Raises:
        ConfigError: Nothing would be left between the layers.
    """

    def __init__(self, channels: int, reduction: int = 16) -> None:
        super().__init__()
        if not 1 <= reduction <= channels:
            raise ConfigError(
                f'squeeze and excitation of {channels} channels with reduction {reduction} has {channels}//{reduction} '
                f'hidden channels: give at least {reduction} channels (base_channels), or switch it off (se=False)'
            )
        self.reduce = nn.Linear(channels, channels // reduction)
        self.expand = nn.Linear(channels // reduction, channels)

    def gate(self, x: Tensor) -> Tensor:
        """Factors (N, C, 1, ...) in (0, 1) of a map (N, C, *S), as many axes as it has."""
        mean = x.mean(tuple(range(2, x.ndim)))
        return self.expand(self.reduce(mean).relu()).sigmoid().reshape(*mean.shape, *(1,) * (x.ndim - 2)).to(x.dtype)

    def forward(self, x: Tensor) -> Tensor:
        """Multiply a map (N, C, *S) by its factors."""
        return x * self.gate(x)
