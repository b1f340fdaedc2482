"""Modulated deformable convolution as modules with mmcv's parameter names."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn

from mmseg_medical.ops.deform_conv import can_pack, modulated_deform_conv2d, modulated_deform_conv2d_pack
from mmseg_medical.ops.deform_conv.geometry import to_pair


class ModulatedDeformConv2d(nn.Module):
    """Deformable convolution whose offsets and masks the caller computes.

    State-dict names, weight layout and the initial distribution U(-1/sqrt(n), 1/sqrt(n)), n = in_channels * kh * kw
    (not divided by ``groups``), are those of ``mmcv.ops.ModulatedDeformConv2d``, so its checkpoints load.

    Args:
        in_channels: channels of the input.
        out_channels: channels of the output.
        kernel_size: K = kh * kw taps.
        stride: as in :func:`mmseg_medical.ops.modulated_deform_conv2d`, like the four arguments after it.
        padding: zeros around the input.
        dilation: distance of neighbouring taps.
        groups: blocks of channels convolved apart.
        deform_groups: blocks of channels displaced alike.
        bias: whether to add one.
        backend: of the operator.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int | tuple[int, int],
        stride: int | tuple[int, int] = 1,
        padding: int | tuple[int, int] = 0,
        dilation: int | tuple[int, int] = 1,
        groups: int = 1,
        deform_groups: int = 1,
        bias: bool = True,
        backend: str = 'auto',
    ) -> None:
        super().__init__()
        self.in_channels = in_channels
        self.out_channels = out_channels
        self.kernel_size = to_pair(kernel_size)
        self.stride = to_pair(stride)
        self.padding = to_pair(padding)
        self.dilation = to_pair(dilation)
        self.groups = groups
        self.deform_groups = deform_groups
        self.backend = backend
        # mmcv's ConvModule asks every convolution for these two.
        self.transposed = False
        self.output_padding = (0, 0)
        self.weight = nn.Parameter(torch.empty(out_channels, in_channels // groups, *self.kernel_size))
        self.bias = nn.Parameter(torch.empty(out_channels)) if bias else None
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw the weights anew and set the bias to zero."""
        bound = 1 / math.sqrt(self.in_channels * math.prod(self.kernel_size))
        nn.init.uniform_(self.weight, -bound, bound)
        if self.bias is not None:
            nn.init.zeros_(self.bias)

    def forward(self, x: Tensor, offset: Tensor, mask: Tensor) -> Tensor:
        """Shapes as in :func:`mmseg_medical.ops.modulated_deform_conv2d`."""
        return modulated_deform_conv2d(
            x,
            offset,
            mask,
            self.weight,
            self.bias,
            stride=self.stride,
            padding=self.padding,
            dilation=self.dilation,
            groups=self.groups,
            deform_groups=self.deform_groups,
            backend=self.backend,
        )

    def extra_repr(self) -> str:
        """The hyper-parameters, as torch's convolutions show them."""
        return (
            f'{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}, stride={self.stride}, '
            f'padding={self.padding}, dilation={self.dilation}, groups={self.groups}, '
            f'deform_groups={self.deform_groups}, bias={self.bias is not None}, backend={self.backend!r}'
        )


class ModulatedDeformConv2dPack(ModulatedDeformConv2d):
    """Deformable convolution that computes offsets and masks from its input by a plain convolution.

    ``conv_offset`` gives 3 * G * K channels: two thirds are offsets, the last third the masks before the sigmoid. It
    starts at zero, so the layer starts as half a plain convolution: offset 0, mask 0.5. Arguments as in
    :class:`ModulatedDeformConv2d`. Registered as ``'DCNv2'``.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.conv_offset = nn.Conv2d(
            self.in_channels,
            3 * self.deform_groups * math.prod(self.kernel_size),
            self.kernel_size,
            self.stride,
            self.padding,
            self.dilation,
        )
        nn.init.zeros_(self.conv_offset.weight)
        nn.init.zeros_(self.conv_offset.bias)  # type: ignore[arg-type]

    def forward(self, x: Tensor) -> Tensor:  # type: ignore[override]
        """Map (N, C, H, W) to (N, C_out, H_out, W_out)."""
        branch = self.conv_offset
        if can_pack(x, self.backend) and _is_plain(branch) and branch.bias is not None:
            return modulated_deform_conv2d_pack(
                x,
                branch.weight,
                branch.bias,
                self.weight,
                self.bias,
                stride=self.stride,
                padding=self.padding,
                dilation=self.dilation,
                groups=self.groups,
                deform_groups=self.deform_groups,
            )
        parameters = branch(x)
        points = self.deform_groups * math.prod(self.kernel_size)
        offset, mask = parameters.split((2 * points, points), dim=1)
        return super().forward(x, offset, mask.sigmoid())


def _is_plain(conv: nn.Module) -> bool:
    # What someone hung on the branch, or put in its place, has to run.
    return type(conv) is nn.Conv2d and not (conv._forward_hooks or conv._forward_pre_hooks)
