"""The norm of HDC-HRNet."""

from __future__ import annotations

from torch import nn

from mmseg_medical.errors import ConfigError

GROUPS = 8


def group_norm(channels: int) -> nn.GroupNorm:
    """Return a norm over 8 groups of channels, over one group where there are fewer than 8 channels.

    As everywhere in torch, a group of a single value, 8 channels of one pixel, is a ValueError when it is normalised.

    Raises:
        ConfigError: 8 or more channels that 8 does not divide.
    """
    if channels < GROUPS:
        return nn.GroupNorm(1, channels)
    if channels % GROUPS:
        near = channels - channels % GROUPS
        raise ConfigError(
            f'{channels} channels cannot be divided into the {GROUPS} groups of the norm; '
            f'choose a width divisible by {GROUPS}, {near} or {near + GROUPS}'
        )
    return nn.GroupNorm(GROUPS, channels)
