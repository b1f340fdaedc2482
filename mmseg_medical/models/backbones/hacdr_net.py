"""HACDR-Net's encoder for diabetic-retinopathy lesions."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Any, cast

import torch.nn.functional as F
from mmengine.model import BaseModule
from torch import Tensor, nn

from mmseg_medical.models.layers import HACDRBlock, ModulatedDeformConv2dPack
from mmseg_medical.registry import MODELS

# What the published code runs, and what the paper's figures show where they differ. Switches that the figures leave
# open (a projection not drawn, one of two feed-forward convolutions) stay as released.
PRESETS: dict[str, dict[str, Any]] = {
    'released': dict(
        optional_kernel=0,
        downsample_act=False,
        ffn_deformable=False,
        ffn_act_last=False,
        project_out=True,
        gate_input='projected',
        zero_init_offset=False,
    ),
    'paper': dict(
        optional_kernel=7,
        downsample_act=True,
        ffn_deformable=False,
        ffn_act_last=True,
        project_out=True,
        gate_input='module_input',
        zero_init_offset=True,
    ),
}


@MODELS.register_module()
class HACDRNet(BaseModule):
    """Four-stage encoder of heterogeneous convolutions (AAAI 2024, doi:10.1609/aaai.v38i6.28453).

    The defaults are the published configuration, 23,527,057 parameters. Arguments that default to None take the value
    of the preset ``mode``; given ones win, so every difference between paper and released code is one switch.

    Args:
        mode: preset, ``'released'`` (what the public code runs) or ``'paper'`` (what the figures show).
        in_channels: channels of the image.
        embed_dims: channels of the stages.
        depths: blocks of the stages.
        ffn_ratios: hidden by outer channels of each stage's feed-forward.
        drop_rate: dropout in the feed-forward.
        drop_path_rate: of the last block; rises linearly from 0 over the blocks.
        strip_kernels: odd lengths of the strip convolutions; empty for none.
        local_deformable: the 5x5 depth-wise convolution is deformable.
        cross_deformable: the deformable 1x3, 3x1 pair is built.
        aggregation: ``'sum'``, ``'project'`` or ``'gate'``.
        spectral_gate: combine the branches in the Fourier domain (the older DDHA variant).
        downsample: ``'deformable'`` or ``'plain'`` 3x3 convolution of stride 2.
        downsample_deform_groups: offset groups of the former.
        optional_kernel: odd length of the optional near-far-aware deformable pair, 0 for none.
        downsample_act: GELU after each down-sampling's norm.
        ffn_deformable: the feed-forward's 3x3 depth-wise convolution is deformable.
        ffn_act_last: GELU after the feed-forward's second 1x1 convolution instead of before it.
        project_out: the attention ends with a 1x1 convolution.
        gate_input: what the attention map multiplies, ``'projected'`` or ``'module_input'``.
        zero_init_offset: offset branches start at zero, else as other convolutions (Gaussian).
        deform_backend: of the deformable operator, see :func:`mmseg_medical.ops.modulated_deform_conv2d`.
        init_cfg: mmengine's, applied after the initialisation described above, such as a pre-trained checkpoint.

    Raises:
        ValueError: an unknown mode or stage arguments of different lengths.
    """

    def __init__(
        self,
        mode: str = 'released',
        *,
        in_channels: int = 3,
        embed_dims: Sequence[int] = (32, 64, 160, 256),
        depths: Sequence[int] = (3, 3, 5, 2),
        ffn_ratios: Sequence[float] = (8, 8, 4, 4),
        drop_rate: float = 0.1,
        drop_path_rate: float = 0.1,
        strip_kernels: Sequence[int] = (7, 11, 21),
        local_deformable: bool = True,
        cross_deformable: bool = True,
        aggregation: str = 'gate',
        spectral_gate: bool = False,
        downsample: str = 'deformable',
        downsample_deform_groups: int = 2,
        optional_kernel: int | None = None,
        downsample_act: bool | None = None,
        ffn_deformable: bool | None = None,
        ffn_act_last: bool | None = None,
        project_out: bool | None = None,
        gate_input: str | None = None,
        zero_init_offset: bool | None = None,
        deform_backend: str = 'auto',
        init_cfg: dict | list[dict] | None = None,
    ) -> None:
        super().__init__(init_cfg)
        if mode not in PRESETS:
            raise ValueError(f'mode={mode!r} is unknown; choose one of {", ".join(PRESETS)}')
        if downsample not in ('deformable', 'plain'):
            raise ValueError(f"downsample={downsample!r} is unknown; choose 'deformable' or 'plain'")
        if not len(embed_dims) == len(depths) == len(ffn_ratios):
            raise ValueError(
                'embed_dims, depths and ffn_ratios name one value a stage; found '
                f'{len(embed_dims)}, {len(depths)} and {len(ffn_ratios)} values'
            )
        given = dict(
            optional_kernel=optional_kernel,
            downsample_act=downsample_act,
            ffn_deformable=ffn_deformable,
            ffn_act_last=ffn_act_last,
            project_out=project_out,
            gate_input=gate_input,
            zero_init_offset=zero_init_offset,
        )
        switches = PRESETS[mode] | {name: value for name, value in given.items() if value is not None}
        self.zero_init_offset = switches['zero_init_offset']
        attention = dict(
            local_deformable=local_deformable,
            strip_kernels=strip_kernels,
            cross_deformable=cross_deformable,
            optional_kernel=switches['optional_kernel'],
            aggregation=aggregation,
            gate_input=switches['gate_input'],
            project_out=switches['project_out'],
            spectral_gate=spectral_gate,
            backend=deform_backend,
        )
        feed_forward = dict(
            deformable=switches['ffn_deformable'],
            act_last=switches['ffn_act_last'],
            drop_rate=drop_rate,
            backend=deform_backend,
        )

        half = embed_dims[0] // 2
        self.stem = nn.Sequential(
            nn.Conv2d(in_channels, half, 3, 2, 1),
            nn.BatchNorm2d(half),
            nn.GELU(),
            nn.Conv2d(half, embed_dims[0], 3, 2, 1),
            nn.BatchNorm2d(embed_dims[0]),
        )
        self.downsamples = nn.ModuleList(
            DownSample(
                before,
                after,
                deform_groups=downsample_deform_groups if downsample == 'deformable' else 0,
                act=switches['downsample_act'],
                backend=deform_backend,
            )
            for before, after in pairwise(embed_dims)
        )
        blocks = sum(depths)
        rates = iter([drop_path_rate * j / max(blocks - 1, 1) for j in range(blocks)])
        self.stages = nn.ModuleList(
            nn.Sequential(
                *(
                    HACDRBlock(
                        dims,
                        int(dims * ratio),
                        drop_path_rate=next(rates),
                        attention=attention,
                        feed_forward=feed_forward,
                    )
                    for _ in range(depth)
                )
            )
            for dims, depth, ratio in zip(embed_dims, depths, ffn_ratios, strict=True)
        )
        self.norms = nn.ModuleList(nn.LayerNorm(dims, eps=1e-5) for dims in embed_dims)

    def init_weights(self) -> None:
        """Gaussian of variance 2 / fan-out for plain convolutions, zero biases; then ``init_cfg``.

        Deformable weights keep their own initialisation; their offset branches are plain convolutions and follow
        ``zero_init_offset``.
        """
        for name, module in self.named_modules():
            if not isinstance(module, nn.Conv2d):
                continue
            if self.zero_init_offset and name.endswith('conv_offset'):
                nn.init.zeros_(module.weight)
            else:
                fan_out = math.prod(module.kernel_size) * module.out_channels // module.groups
                nn.init.normal_(module.weight, 0, math.sqrt(2 / fan_out))
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        super().init_weights()

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """Feature pyramid of an image.

        Args:
            x: shape (N, in_channels, H, W), normalised.

        Returns:
            One map a stage, shape (N, embed_dims[i], ceil(H / 4 / 2^i), ceil(W / 4 / 2^i)).
        """
        outs = []
        for i, (stage, norm) in enumerate(zip(self.stages, self.norms, strict=True)):
            x = self.downsamples[i - 1](x) if i else self.stem(x)
            x = _channel_norm(stage(x), cast(nn.LayerNorm, norm))
            outs.append(x)
        return tuple(outs)


class DownSample(nn.Module):
    """3x3 convolution of stride 2, plain where ``deform_groups`` is 0, then BatchNorm and perhaps GELU."""

    def __init__(
        self, in_channels: int, out_channels: int, *, deform_groups: int, act: bool, backend: str = 'auto'
    ) -> None:
        super().__init__()
        self.conv: nn.Module
        if deform_groups:
            self.conv = ModulatedDeformConv2dPack(
                in_channels, out_channels, 3, 2, 1, deform_groups=deform_groups, backend=backend
            )
        else:
            self.conv = nn.Conv2d(in_channels, out_channels, 3, 2, 1)
        self.norm = nn.BatchNorm2d(out_channels)
        self.act = nn.GELU() if act else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, C, H, W) to (N, C_out, ceil(H / 2), ceil(W / 2))."""
        return self.act(self.norm(self.conv(x)))


def _channel_norm(x: Tensor, norm: nn.LayerNorm) -> Tensor:
    """LayerNorm over the channels of (N, C, H, W)."""
    x = F.layer_norm(x.permute(0, 2, 3, 1), norm.normalized_shape, norm.weight, norm.bias, norm.eps)
    return x.permute(0, 3, 1, 2).contiguous()
