"""The residual block of HACDR-Net."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from mmcv.cnn.bricks import DropPath
from torch import Tensor, nn

from mmseg_medical.models.layers.deform_conv import ModulatedDeformConv2dPack
from mmseg_medical.models.layers.heterogeneous_attention import HeterogeneousAttention


class ConvFeedForward(nn.Module):
    """1x1 expansion, 3x3 depth-wise convolution, GELU, dropout, 1x1 reduction, dropout.

    Args:
        channels: C.
        hidden_channels: after the expansion.
        deformable: the 3x3 convolution, still depth-wise, is deformable.
        act_last: GELU after the reduction instead of before it.
        drop_rate: of both element-wise dropouts.
        backend: of the deformable operator.
    """

    def __init__(
        self,
        channels: int,
        hidden_channels: int,
        *,
        deformable: bool = False,
        act_last: bool = False,
        drop_rate: float = 0.0,
        backend: str = 'auto',
    ) -> None:
        super().__init__()
        self.expand = nn.Conv2d(channels, hidden_channels, 1)
        self.depthwise: nn.Module
        if deformable:
            self.depthwise = ModulatedDeformConv2dPack(
                hidden_channels, hidden_channels, 3, padding=1, groups=hidden_channels, backend=backend
            )
        else:
            self.depthwise = nn.Conv2d(hidden_channels, hidden_channels, 3, padding=1, groups=hidden_channels)
        self.act = nn.GELU()
        self.reduce = nn.Conv2d(hidden_channels, channels, 1)
        self.dropout = nn.Dropout(drop_rate)
        self.act_last = act_last

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, C, H, W) to the same shape."""
        x = self.depthwise(self.expand(x))
        if not self.act_last:
            x = self.act(x)
        x = self.reduce(self.dropout(x))
        if self.act_last:
            x = self.act(x)
        return self.dropout(x)


class HACDRBlock(nn.Module):
    """Attention, then feed-forward, each on the normalised input, scaled per channel and added to it.

    Args:
        channels: C.
        hidden_channels: of the feed-forward.
        drop_rate: of its dropouts.
        drop_path_rate: probability that a sample skips a residual branch.
        strip_kernels: see :class:`HeterogeneousAttention`, like all arguments not named here.
        local_deformable: see there.
        cross_deformable: see there.
        optional_kernel: see there.
        aggregation: see there.
        gate_input: see there.
        project_out: see there.
        spectral_gate: see there.
        ffn_deformable: see :class:`ConvFeedForward`.
        ffn_act_last: see there.
        backend: of the deformable operator.
    """

    def __init__(
        self,
        channels: int,
        hidden_channels: int,
        *,
        drop_rate: float = 0.0,
        drop_path_rate: float = 0.0,
        strip_kernels: Sequence[int] = (7, 11, 21),
        local_deformable: bool = True,
        cross_deformable: bool = True,
        optional_kernel: int = 0,
        aggregation: str = 'gate',
        gate_input: str = 'projected',
        project_out: bool = True,
        spectral_gate: bool = False,
        ffn_deformable: bool = False,
        ffn_act_last: bool = False,
        backend: str = 'auto',
    ) -> None:
        super().__init__()
        self.norm1 = nn.BatchNorm2d(channels)
        self.attn = HeterogeneousAttention(
            channels,
            local_deformable=local_deformable,
            strip_kernels=strip_kernels,
            cross_deformable=cross_deformable,
            optional_kernel=optional_kernel,
            aggregation=aggregation,
            gate_input=gate_input,
            project_out=project_out,
            spectral_gate=spectral_gate,
            backend=backend,
        )
        self.norm2 = nn.BatchNorm2d(channels)
        self.ffn = ConvFeedForward(
            channels,
            hidden_channels,
            deformable=ffn_deformable,
            act_last=ffn_act_last,
            drop_rate=drop_rate,
            backend=backend,
        )
        self.layer_scale1 = nn.Parameter(torch.full((channels,), 0.01))
        self.layer_scale2 = nn.Parameter(torch.full((channels,), 0.01))
        self.drop_path = DropPath(drop_path_rate) if drop_path_rate > 0 else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, C, H, W) to the same shape."""
        x = x + self.drop_path(self.layer_scale1[:, None, None] * self.attn(self.norm1(x)))
        return x + self.drop_path(self.layer_scale2[:, None, None] * self.ffn(self.norm2(x)))
