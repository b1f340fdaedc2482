"""U-Net of any rank: plain, residual, or of Res2 blocks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from mmengine.model import BaseModule
from torch import Tensor, nn
from torch.nn.functional import pad
from torch.utils.checkpoint import checkpoint

from mmseg_medical.models.layers.conv_blocks import (
    Norm,
    PerAxis,
    PlainStage,
    ResidualStage,
    Upsample,
    dropout,
    max_pool,
    per_axis,
)
from mmseg_medical.models.layers.res2_block import Res2Stage
from mmseg_medical.registry import MODELS

_STAGES: dict[str, type[nn.Module]] = {'plain': PlainStage, 'residual': ResidualStage, 'res2': Res2Stage}


@MODELS.register_module()
class MedicalUNet(BaseModule):
    """Encoder and decoder with skip connections (Ronneberger et al. 2015, doi:10.1007/978-3-319-24574-4_28).

    Level d = 0..L-1 of the encoder has ``channels[d]``; after each the size is divided, below lies the bottleneck with
    ``channels[L]``. A step of the decoder enlarges, joins the skip behind it on the channel axis, and convolves. Sizes
    that cannot be divided are allowed: what an enlarged map lacks is padded with zeros, half of it in front.

    Args:
        in_channels (int): Channels of the image.
        channels (Sequence[int]): Of the levels, full resolution first, the bottleneck last.
        spatial_dims (int): 2 or 3.
        block (str | dict): ``'plain'``, ``'residual'`` or ``'res2'``; or a dict with the name as ``type`` and arguments
            of :class:`~mmseg_medical.models.layers.res2_block.Res2Block`, e.g. ``dict(type='res2', scale=8)``.
        encoder_depth (int | Sequence[int]): Convolutions (plain) or blocks (others) of each level and the bottleneck.
        decoder_depth (int | Sequence[int]): The same of each step of the decoder, full resolution first.
        strides (Sequence[int | Sequence[int]] | None): Division of the size after each level; None for 2.
        kernels (Sequence[int | Sequence[int]] | None): Kernels of each level; None for 3.
        downsample (str): ``'maxpool'``, or ``'stride'`` of the first convolution below.
        upsample (str): ``'transposed'`` or ``'linear'``, see :class:`Upsample`.
        up_kernel (int | None): Kernel of the transposed convolution; None for the stride.
        norm (str | dict | None): See :func:`normalisation`.
        act (str): See :func:`activation`.
        bias (bool): Whether convolutions in front of norms have one.
        drop_rate (float): Dropout of whole channels, after each division and each step of the decoder.
        num_outputs (int): Maps of the decoder that are returned, the finest ones.
        with_cp (bool): Compute stages anew in the backward pass instead of keeping what is in them; running statistics
            of batch norms then see each batch twice.
        init_cfg (dict | None): As in mmengine; None leaves torch's initialisation.

    Raises:
        ValueError: Numbers of levels, strides, kernels or depths do not fit, or a name is unknown.
    """

    def __init__(
        self,
        in_channels: int = 1,
        channels: Sequence[int] = (32, 64, 128, 256, 320),
        *,
        spatial_dims: int = 3,
        block: str | dict[str, Any] = 'plain',
        encoder_depth: PerAxis = 2,
        decoder_depth: PerAxis = 2,
        strides: Sequence[PerAxis] | None = None,
        kernels: Sequence[PerAxis] | None = None,
        downsample: str = 'maxpool',
        upsample: str = 'transposed',
        up_kernel: int | None = None,
        norm: Norm = 'instance',
        act: str = 'leaky_relu',
        bias: bool = True,
        drop_rate: float = 0.0,
        num_outputs: int = 1,
        with_cp: bool = False,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(init_cfg=init_cfg)
        levels = len(channels) - 1
        if levels < 1 or not 1 <= num_outputs <= levels:
            raise ValueError(f'{len(channels)} channels make {levels} levels, from which {num_outputs} maps are asked')
        details = {'type': block} if isinstance(block, str) else dict(block)
        kind = details.pop('type', None)
        if kind not in _STAGES:
            raise ValueError(f"block must be 'plain', 'residual' or 'res2', got {block!r}")
        if downsample not in ('maxpool', 'stride'):
            raise ValueError(f"downsample must be 'maxpool' or 'stride', got {downsample!r}")
        self.in_channels = in_channels
        self.channels = tuple(channels)
        self.spatial_dims = spatial_dims
        self.num_outputs = num_outputs
        self.with_cp = with_cp
        self.strides = [
            per_axis(stride, spatial_dims) for stride in _of_levels(2 if strides is None else strides, levels)
        ]
        sizes = _of_levels(3 if kernels is None else kernels, levels + 1)
        shared: dict[str, Any] = dict(norm=norm, act=act, bias=bias, **details)
        stage = _STAGES[kind]
        pooled = downsample == 'maxpool'

        self.encoders = nn.ModuleList()
        for d, depth in enumerate(_of_levels(encoder_depth, levels + 1)):
            source, stride = (in_channels, 1) if d == 0 else (channels[d - 1], 1 if pooled else self.strides[d - 1])
            self.encoders.append(
                stage(spatial_dims, source, channels[d], depth=depth, stride=stride, kernel=sizes[d], **shared)
            )
        self.downs = nn.ModuleList()
        self.ups = nn.ModuleList()
        self.decoders = nn.ModuleList()
        for d, depth in enumerate(_of_levels(decoder_depth, levels)):
            pool = max_pool(spatial_dims, self.strides[d]) if pooled else nn.Identity()
            self.downs.append(nn.Sequential(pool, dropout(spatial_dims, drop_rate)))
            self.ups.append(
                Upsample(spatial_dims, channels[d + 1], channels[d], self.strides[d], mode=upsample, kernel=up_kernel)
            )
            step = stage(spatial_dims, 2 * channels[d], channels[d], depth=depth, kernel=sizes[d], **shared)
            self.decoders.append(nn.Sequential(step, dropout(spatial_dims, drop_rate)))

    @property
    def num_levels(self) -> int:
        """Number L of divisions."""
        return len(self.strides)

    @property
    def divisors(self) -> tuple[int, ...]:
        """For each axis, what its length is divided by altogether."""
        total = [1] * self.spatial_dims
        for stride in self.strides:
            total = [t * s for t, s in zip(total, stride, strict=True)]
        return tuple(total)

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """Map an image (N, C, *S) to the finest ``num_outputs`` maps of the decoder, the coarsest of them first."""
        return self.decode(self.encode(self.embed(x)))[-self.num_outputs :]

    def embed(self, x: Tensor) -> Tensor:
        """What the first encoder makes of an image (N, C, *S), for :meth:`encode`."""
        return self._run(self.encoders[0], x)

    def encode(self, feature: Tensor, level: int = 0) -> list[Tensor]:
        """Go down from a level.

        Args:
            feature (Tensor): shape (N, channels[level], *S), what the encoder of this level would give.
            level (int): Where to enter.

        Returns:
            list[Tensor]: ``feature``, those of the levels below, and of the bottleneck last.
        """
        features = [feature]
        for d in range(level, self.num_levels):
            features.append(self._run(self.encoders[d + 1], self.downs[d](features[-1])))
        return features

    def decode(self, features: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """Go up again, as far as there are skips.

        Args:
            features (Sequence[Tensor]): As :meth:`encode` returns them.

        Returns:
            tuple[Tensor, ...]: Maps of the decoder, the coarsest first, the last one of the size of ``features[0]``.
        """
        x, maps = features[-1], []
        for d, skip in zip(reversed(range(self.num_levels)), reversed(features[:-1]), strict=False):
            x = self._ascend(d, x, skip)
            maps.append(x)
        return tuple(maps)

    def _ascend(self, level: int, x: Tensor, skip: Tensor) -> Tensor:
        """From the map below a level to that of its step of the decoder."""
        return self._run(self.decoders[level], torch.cat((_fit(self.ups[level](x), skip), skip), dim=1))

    def _run(self, stage: nn.Module, x: Tensor) -> Tensor:
        if self.with_cp and torch.is_grad_enabled():
            return checkpoint(stage, x, use_reentrant=False)
        return stage(x)


def _of_levels(value: Any, number: int) -> list[Any]:
    values = [value] * number if isinstance(value, int) else list(value)
    if len(values) != number:
        raise ValueError(f'expected one value for all or for each of {number} levels, got {value}')
    return values


def _fit(x: Tensor, skip: Tensor) -> Tensor:
    """Pad (or cut) ``x`` to the size of ``skip``, half of it in front."""
    missing = [wanted - n for wanted, n in zip(skip.shape[2:], x.shape[2:], strict=True)]
    if not any(missing):
        return x
    return pad(x, [part for m in reversed(missing) for part in (m // 2, m - m // 2)])
