"""Sizes of one deformable convolution, checked once for every back end."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

Pair = tuple[int, int]


def memory_format_of(tensor: Tensor) -> torch.memory_format:
    """``channels_last`` where the tensor is laid out so and not contiguous at the same time, else contiguous."""
    channels_last = tensor.is_contiguous(memory_format=torch.channels_last) and not tensor.is_contiguous()
    return torch.channels_last if channels_last else torch.contiguous_format


def to_pair(value: int | Sequence[int]) -> Pair:
    """An integer for both axes, or a pair (vertical, horizontal)."""
    if isinstance(value, int):
        return (value, value)
    vertical, horizontal = value
    return (int(vertical), int(horizontal))


@dataclass(frozen=True)
class DeformGeometry:
    """Hyper-parameters and output size of one call."""

    kernel: Pair
    stride: Pair
    padding: Pair
    dilation: Pair
    groups: int
    deform_groups: int
    out_size: Pair

    @property
    def taps(self) -> int:
        """K = kh * kw."""
        return self.kernel[0] * self.kernel[1]

    @classmethod
    def of(
        cls,
        input: Tensor,
        offset: Tensor,
        mask: Tensor,
        weight: Tensor,
        bias: Tensor | None,
        stride: int | Sequence[int],
        padding: int | Sequence[int],
        dilation: int | Sequence[int],
        groups: int,
        deform_groups: int,
    ) -> DeformGeometry:
        """Check the arguments of :func:`modulated_deform_conv2d` against each other.

        Raises:
            ValueError: naming the argument, its shape or device and the one that would fit.
            TypeError: an argument that is not of a floating dtype.
        """
        _expect_floating(dict(input=input, offset=offset, mask=mask))
        geometry = cls.of_layer(input, weight, bias, stride, padding, dilation, groups, deform_groups)
        points = deform_groups * geometry.taps
        _expect('offset', offset, '(N, 2 G K, H_out, W_out)', (input.shape[0], 2 * points, *geometry.out_size))
        _expect('mask', mask, '(N, G K, H_out, W_out)', (input.shape[0], points, *geometry.out_size))
        return geometry

    @classmethod
    def of_pack(
        cls, input: Tensor, offset_weight: Tensor, offset_bias: Tensor, weight: Tensor, bias: Tensor | None, *hyper: Any
    ) -> DeformGeometry:
        """Check the arguments of :func:`modulated_deform_conv2d_pack`; raises as :meth:`of`."""
        _expect_floating(dict(input=input, offset_weight=offset_weight, offset_bias=offset_bias))
        geometry = cls.of_layer(input, weight, bias, *hyper)
        rows = 3 * geometry.deform_groups * geometry.taps
        _expect('offset_weight', offset_weight, '(3 G K, C, kh, kw)', (rows, input.shape[1], *geometry.kernel))
        _expect('offset_bias', offset_bias, '(3 G K,)', (rows,))
        return geometry

    @classmethod
    def of_layer(
        cls,
        input: Tensor,
        weight: Tensor,
        bias: Tensor | None,
        stride: int | Sequence[int],
        padding: int | Sequence[int],
        dilation: int | Sequence[int],
        groups: int,
        deform_groups: int,
    ) -> DeformGeometry:
        """Check what does not depend on where the offsets come from; raises as :meth:`of`."""
        _expect_floating(dict(input=input, weight=weight, bias=bias))
        if input.ndim != 4 or weight.ndim != 4:
            raise ValueError(
                'input (N, C, H, W) and weight (C_out, C / groups, kh, kw) must have four axes, found '
                f'{tuple(input.shape)} and {tuple(weight.shape)}'
            )
        stride, padding, dilation = to_pair(stride), to_pair(padding), to_pair(dilation)
        if min(*stride, *dilation, groups, deform_groups, 1 + min(padding)) < 1:
            raise ValueError(
                'stride, dilation, groups and deform_groups must be at least 1 and padding at least 0, found '
                f'{stride}, {dilation}, {groups}, {deform_groups} and {padding}'
            )
        channels, out_channels = input.shape[1], weight.shape[0]
        if channels % groups or out_channels % groups:
            raise ValueError(f'groups={groups} must divide {channels} input and {out_channels} output channels')
        if weight.shape[1] != channels // groups:
            raise ValueError(
                f'weight (C_out, C / groups, kh, kw) has {weight.shape[1]} input channels a group, input has '
                f'{channels} / groups={groups}'
            )
        if channels % deform_groups:
            raise ValueError(f'deform_groups={deform_groups} must divide the {channels} input channels')
        if bias is not None:
            _expect('bias', bias, '(C_out,)', (out_channels,))
        kernel = (weight.shape[2], weight.shape[3])
        out_size = (
            _out_length(input.shape[2], kernel[0], stride[0], padding[0], dilation[0]),
            _out_length(input.shape[3], kernel[1], stride[1], padding[1], dilation[1]),
        )
        return cls(kernel, stride, padding, dilation, groups, deform_groups, out_size)


def _out_length(length: int, kernel: int, stride: int, padding: int, dilation: int) -> int:
    reach = dilation * (kernel - 1) + 1
    if length + 2 * padding < reach:
        raise ValueError(f'an axis of {length} pixels padded by {padding} is shorter than the kernel, {reach} pixels')
    return (length + 2 * padding - reach) // stride + 1


def _expect(name: str, tensor: Tensor, letters: str, shape: tuple[int, ...]) -> None:
    if tuple(tensor.shape) != shape:
        raise ValueError(f'{name} has shape {tuple(tensor.shape)}, expected {letters} = {shape}')


def _expect_floating(arguments: dict[str, Tensor | None]) -> None:
    device = None
    for name, tensor in arguments.items():
        if tensor is None:
            continue
        if not tensor.is_floating_point():
            raise TypeError(f'{name} has dtype {tensor.dtype}, expected a floating one')
        device = device or tensor.device
        if tensor.device != device:
            raise ValueError(f'{name} is on {tensor.device}, but input on {device}; move them to one device')
