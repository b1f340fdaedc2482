"""Two linear layers over the last axis."""

from __future__ import annotations

from torch import nn


def channel_mlp(channels: int, ratio: int = 4) -> nn.Sequential:
    """Return linear C -> ratio * C, GELU, linear -> C, for tensors of shape (..., C)."""
    return nn.Sequential(nn.Linear(channels, ratio * channels), nn.GELU(), nn.Linear(ratio * channels, channels))
