"""Res2Net's bottleneck block with squeeze and excitation, of any rank."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from mmseg_medical.errors import ConfigError
from mmseg_medical.models.layers.conv_blocks import (
    Norm,
    PerAxis,
    ResidualStage,
    activation,
    convolution,
    normalisation,
    per_axis,
)
from mmseg_medical.models.layers.res2_stream import can_stream, stream
from mmseg_medical.models.layers.res2_training import can_fuse, fused
from mmseg_medical.models.layers.squeeze_excitation import SqueezeExcitation


class Res2Block(nn.Module):
    """Bottleneck whose 3x3 convolutions see one another (Gao et al. 2021, doi:10.1109/TPAMI.2019.2938758).

    A 1x1 convolution makes s parts x_1..x_s of w = out_channels / s channels. y_1 = x_1; y_2 = f(x_2);
    y_i = f(x_i + y_(i-1)) for i = 3..s, where f is convolution, norm and activation. A 1x1 convolution and norm of all
    y are multiplied by the factors of squeeze and excitation, then added to the shortcut: the input, or its 1x1
    convolution and norm where channels or size change.

    Where hooks listen nothing is computed in place, so that they may keep what they see. Otherwise, with batch norms,
    see :func:`~mmseg_medical.models.layers.res2_training.fused` for training and
    :func:`~mmseg_medical.models.layers.res2_stream.stream` for inference.

    Args:
        spatial_dims (int): Number of spatial axes.
        in_channels (int): Channels of the input.
        out_channels (int): Channels of the output.
        scale (int): Number s of parts.
        se (bool): Whether there is squeeze and excitation.
        reduction (int): Of squeeze and excitation.
        stride (int | Sequence[int]): Of the first convolution and the shortcut.
        kernel (int | Sequence[int]): Of the parts; odd.
        bias (bool): Whether the convolutions have one.
        norm (str | dict | None): See :func:`~mmseg_medical.models.layers.conv_blocks.normalisation`.
        act (str): See :func:`~mmseg_medical.models.layers.conv_blocks.activation`.

    Raises:
        ConfigError: The channels cannot be divided into parts, or are too few for squeeze and excitation.
    """

    def __init__(
        self,
        spatial_dims: int,
        in_channels: int,
        out_channels: int,
        *,
        scale: int = 4,
        se: bool = True,
        reduction: int = 16,
        stride: PerAxis = 1,
        kernel: PerAxis = 3,
        bias: bool = False,
        norm: Norm = 'batch',
        act: str = 'relu',
    ) -> None:
        super().__init__()
        if scale < 2 or out_channels % scale:
            raise ConfigError(
                f'a Res2 block divides its {out_channels} channels into scale={scale} parts: scale must be at least 2 '
                'and divide the channels; change base_channels or scale'
            )
        width = out_channels // scale
        self.width = width
        self.conv1 = convolution(spatial_dims, in_channels, out_channels, 1, stride, bias)
        self.norm1 = normalisation(norm, spatial_dims, out_channels)
        self.convs = nn.ModuleList(convolution(spatial_dims, width, width, kernel, 1, bias) for _ in range(scale - 1))
        self.norms = nn.ModuleList(normalisation(norm, spatial_dims, width) for _ in range(scale - 1))
        self.conv3 = convolution(spatial_dims, out_channels, out_channels, 1, 1, bias)
        self.norm3 = normalisation(norm, spatial_dims, out_channels)
        self.se = SqueezeExcitation(out_channels, reduction) if se else None
        self.shortcut: nn.Module = nn.Identity()
        self.has_projection = in_channels != out_channels or set(per_axis(stride, spatial_dims)) != {1}
        if self.has_projection:
            self.shortcut = nn.Sequential(
                convolution(spatial_dims, in_channels, out_channels, 1, stride, bias),
                normalisation(norm, spatial_dims, out_channels),
            )
        self.act = activation(act, inplace=False)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``x`` of shape (N, C, *S) to (N, out_channels, *S / stride)."""
        if can_stream(self):
            return stream(self, lambda rows: x[:, :, rows], x.shape[2], x[:, 0, 0].numel())
        if can_fuse(self, x):
            return fused(self, x)
        first, *rest = self.act(self.norm1(self.conv1(x))).split(self.width, dim=1)
        parts = [first]
        for i, (part, conv, norm) in enumerate(zip(rest, self.convs, self.norms, strict=True)):
            parts.append(self.act(norm(conv(part + parts[-1] if i else part))))
        out = self.norm3(self.conv3(torch.cat(parts, dim=1)))
        shortcut = self.shortcut(x)
        return self.act((out if self.se is None else self.se(out)) + shortcut)


class Res2Stage(ResidualStage):
    """Several :class:`Res2Block` in a row; ``depth`` counts blocks, the first changes channels and size."""

    block = Res2Block
