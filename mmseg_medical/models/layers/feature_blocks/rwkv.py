"""Block after RWKV: a gated mean over all positions, weighted by keys, then an MLP."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mmseg_medical.models.layers.feature_blocks.mlp import channel_mlp

EPS = 1e-6


class RWKVBlock(nn.Module):
    """Positions in raster order, each mixed with the one before it, give keys, values and gates (cf. arXiv:2305.13048).

    The weighted mean of the values, one for the whole map, passes the gate of each position and is added; then an MLP.
    Unlike RWKV's own, the mean has no decay and sees all positions.

    Args:
        channels (int): C.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.mix_key = nn.Parameter(torch.full((channels,), 0.5))
        self.mix_value = nn.Parameter(torch.full((channels,), 0.5))
        self.mix_gate = nn.Parameter(torch.full((channels,), 0.5))
        self.norm1 = nn.LayerNorm(channels)
        self.key = nn.Linear(channels, channels, bias=False)
        self.value = nn.Linear(channels, channels, bias=False)
        self.gate = nn.Linear(channels, channels, bias=False)
        self.output = nn.Linear(channels, channels, bias=False)
        self.norm2 = nn.LayerNorm(channels)
        self.mlp = channel_mlp(channels)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, C, H, W) to the same shape."""
        y = x.flatten(2).transpose(1, 2)
        y = y + self._mix(y)
        y = y + self.mlp(self.norm2(y))
        return y.transpose(1, 2).reshape(x.shape)

    def _mix(self, x: Tensor) -> Tensor:
        """Map a sequence (N, L, C) to the same shape."""
        previous = F.pad(x, (0, 0, 1, -1))
        change = x - previous
        key, value, gate = (
            linear(self.norm1(torch.addcmul(previous, mix, change)))
            for linear, mix in ((self.key, self.mix_key), (self.value, self.mix_value), (self.gate, self.mix_gate))
        )
        weight = torch.exp(key - key.amax(dim=1, keepdim=True))
        mean = (weight * value).sum(dim=1, keepdim=True) / (weight.sum(dim=1, keepdim=True) + EPS)
        return gate.sigmoid() * self.output(mean)
