"""The operator as torch knows it: real and fake kernels, autograd and cost, for the fused back ends."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils.flop_counter import register_flop_formula

from mmseg_medical.ops.deform_conv import numba_backend, triton_backend
from mmseg_medical.ops.deform_conv.geometry import DeformGeometry, memory_format_of

FUSED = {'numba': numba_backend, 'triton': triton_backend}


@torch.library.custom_op('mmseg_medical::modulated_deform_conv2d', mutates_args=())
def fused(
    input: Tensor,
    offset: Tensor,
    mask: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    stride: list[int],
    padding: list[int],
    dilation: list[int],
    groups: int,
    deform_groups: int,
    backend: str,
) -> Tensor:
    """:func:`mmseg_medical.ops.modulated_deform_conv2d` by a fused back end, opaque to compilers and exporters."""
    geometry = DeformGeometry.of(input, offset, mask, weight, bias, stride, padding, dilation, groups, deform_groups)
    return FUSED[backend].forward(input, offset, mask, weight, bias, geometry)


@fused.register_fake
def _(
    input: Tensor,
    offset: Tensor,
    mask: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    stride: list[int],
    padding: list[int],
    dilation: list[int],
    groups: int,
    deform_groups: int,
    backend: str,
) -> Tensor:
    geometry = DeformGeometry.of(input, offset, mask, weight, bias, stride, padding, dilation, groups, deform_groups)
    return _like(input, (input.shape[0], weight.shape[0], *geometry.out_size))


@torch.library.custom_op('mmseg_medical::modulated_deform_conv2d_backward', mutates_args=())
def fused_backward(
    grad_output: Tensor,
    input: Tensor,
    offset: Tensor,
    mask: Tensor,
    weight: Tensor,
    stride: list[int],
    padding: list[int],
    dilation: list[int],
    groups: int,
    deform_groups: int,
    backend: str,
    needed: list[bool],
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Gradients of input, offset, mask and weight; one that is not ``needed`` is an empty tensor."""
    geometry = DeformGeometry.of(input, offset, mask, weight, None, stride, padding, dilation, groups, deform_groups)
    gradients = FUSED[backend].backward(grad_output, input, offset, mask, weight, geometry, needed)
    return tuple(input.new_empty(0) if g is None else g for g in gradients)  # type: ignore[return-value]


@fused_backward.register_fake
def _(
    grad_output: Tensor,
    input: Tensor,
    offset: Tensor,
    mask: Tensor,
    weight: Tensor,
    stride: list[int],
    padding: list[int],
    dilation: list[int],
    groups: int,
    deform_groups: int,
    backend: str,
    needed: list[bool],
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    arguments = (input, offset, mask, weight)
    return tuple(  # type: ignore[return-value]
        (_like(input, input.shape) if a is input else a.new_empty(a.shape)) if wanted else input.new_empty(0)
        for a, wanted in zip(arguments, needed, strict=True)
    )


def _like(tensor: Tensor, shape: Any) -> Tensor:
    return torch.empty(shape, dtype=tensor.dtype, device=tensor.device, memory_format=memory_format_of(tensor))


def _remember(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
    input, offset, mask, weight, _, *ctx.options = inputs
    ctx.save_for_backward(input, offset, mask, weight)


def _differentiate(ctx: Any, grad_output: Tensor) -> tuple[Tensor | None, ...]:
    *needed, bias_needed = ctx.needs_input_grad[:5]
    gradients = fused_backward(grad_output, *ctx.saved_tensors, *ctx.options, needed)
    chosen = (gradient if wanted else None for gradient, wanted in zip(gradients, needed, strict=True))
    return (*chosen, grad_output.sum((0, 2, 3)) if bias_needed else None, *(None for _ in ctx.options))


fused.register_autograd(_differentiate, setup_context=_remember)


@torch.library.custom_op('mmseg_medical::modulated_deform_conv2d_pack', mutates_args=())
def fused_pack(
    input: Tensor,
    offset_weight: Tensor,
    offset_bias: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    stride: list[int],
    padding: list[int],
    dilation: list[int],
    groups: int,
    deform_groups: int,
) -> Tensor:
    """:func:`mmseg_medical.ops.modulated_deform_conv2d_pack` by the numba back end, without gradients."""
    hyper = (stride, padding, dilation, groups, deform_groups)
    geometry = DeformGeometry.of_pack(input, offset_weight, offset_bias, weight, bias, *hyper)
    return numba_backend.forward_pack(input, offset_weight, offset_bias, weight, bias, geometry)


@fused_pack.register_fake
def _(
    input: Tensor,
    offset_weight: Tensor,
    offset_bias: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    *hyper: Any,
) -> Tensor:
    geometry = DeformGeometry.of_pack(input, offset_weight, offset_bias, weight, bias, *hyper)
    return _like(input, (input.shape[0], weight.shape[0], *geometry.out_size))


@register_flop_formula(torch.ops.mmseg_medical.modulated_deform_conv2d)
def _flops(
    input: Sequence[int], offset: Sequence[int], mask: Sequence[int], weight: Sequence[int], *args: Any, **kwargs: Any
) -> int:
    """Two operations a multiply-accumulate of a plain convolution of this shape; sampling is not counted."""
    return 2 * math.prod(weight) * offset[0] * offset[2] * offset[3]
