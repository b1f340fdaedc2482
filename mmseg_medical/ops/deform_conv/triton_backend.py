"""CUDA back end: Triton kernels, the whole batch in one launch, without a column matrix.

The kernels have been run in Triton's interpreter and compiled for compute capability 9.0, but never on a GPU: block
sizes are estimates from registers and cache lines, nothing about their speed is measured.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import cache
from importlib.util import find_spec
from math import gcd
from typing import Any

import torch
from torch import Tensor

from mmseg_medical.ops.deform_conv.geometry import DeformGeometry, memory_format_of

requirement = 'it needs a CUDA device and triton (`pip install triton`)'

# Elements of one image from which on addresses take 64 bits.
_WIDE_FROM = 2**31
# Programs that fill a large GPU about twice. A constant, so that the same call gives the same bits on every device.
_PROGRAMS = 264

Gradients = tuple[Tensor | None, Tensor | None, Tensor | None, Tensor | None]


@cache
def available() -> bool:
    """Whether triton is installed and finds a CUDA device, or interprets its kernels (``TRITON_INTERPRET=1``)."""
    return find_spec('triton') is not None and (torch.cuda.is_available() or _interpreted())


def forward(
    input: Tensor, offset: Tensor, mask: Tensor, weight: Tensor, bias: Tensor | None, geometry: DeformGeometry
) -> Tensor:
    """See :func:`mmseg_medical.ops.modulated_deform_conv2d`; the arguments have been checked."""
    size = (input.shape[0], weight.shape[0], *geometry.out_size)
    out = torch.empty(size, dtype=input.dtype, device=input.device, memory_format=memory_format_of(input))
    if out.numel():
        _Call(input, offset, mask, weight, geometry).forward(bias, out)
    return out


def backward(
    grad_output: Tensor,
    input: Tensor,
    offset: Tensor,
    mask: Tensor,
    weight: Tensor,
    geometry: DeformGeometry,
    needed: Sequence[bool],
) -> Gradients:
    """Gradients of input, offset, mask and weight, None where not ``needed``.

    That of the input is summed by atomic additions, whose order varies. Under
    :func:`torch.use_deterministic_algorithms` they are additions of integers, in steps of at most 2^-61 of a bound on
    the sum, and give the same bits in each run. The bound covers the whole tensor: if the output's gradient, the weight
    or the mask has an element that is not finite, then so have all of the input's gradient.
    """
    arguments = (input, offset, mask, weight)
    if grad_output.numel() == 0:
        return tuple(torch.zeros_like(a) if want else None for a, want in zip(arguments, needed, strict=True))  # type: ignore[return-value]
    call = _Call(input, offset, mask, weight, geometry)
    grad_output = call.staged(grad_output)
    grad_input = grad_offset = grad_mask = grad_weight = None
    if any(needed[:3]):
        grad_input, grad_offset, grad_mask = call.points_backward(grad_output, needed[0], needed[1] or needed[2])
        if grad_input is not None:
            grad_input = grad_input.to(input.dtype).contiguous(memory_format=memory_format_of(input))
    if needed[3]:
        grad_weight = call.weight_backward(grad_output).to(weight.dtype)
    return grad_input, grad_offset if needed[1] else None, grad_mask if needed[2] else None, grad_weight


class _Call:
    """Arguments of one call as the kernels take them, and the sizes of its blocks."""

    def __init__(self, input: Tensor, offset: Tensor, mask: Tensor, weight: Tensor, geometry: DeformGeometry) -> None:
        _expect_cuda(input)
        self.batch, self.channels, height, width = input.shape
        self.out_channels, self.group_in = weight.shape[:2]
        self.group_out = self.out_channels // geometry.groups
        self.geometry = geometry
        self.dtype = input.dtype
        self.accumulator = torch.float64 if input.dtype == torch.float64 else torch.float32
        self.depthwise = self.group_in == self.group_out == 1
        # Channels with an offset group each are read channels first, neighbouring pixels side by side. Otherwise a
        # pixel's channels go side by side: a gather of one channel takes 4 of the 32 bytes it fetches, and the K-fold
        # reading repays the copy.
        reach = self.channels // geometry.deform_groups
        self.shared = reach > 1
        if self.shared:
            self.span = reach if self.depthwise else gcd(reach, self.group_in)
        else:
            self.span = self.channels if self.depthwise else self.group_in
        self.length = geometry.out_size[0] * geometry.out_size[1]
        self.source = self.staged(input)
        self.offset, self.mask = offset.contiguous(), mask.contiguous()
        # (K, C, C_out / groups): a block's output channels side by side.
        weight = weight.to(self.dtype).reshape(geometry.groups, self.group_out, self.group_in, geometry.taps)
        self.weight = weight.permute(3, 0, 2, 1).contiguous()
        points = 2 * geometry.deform_groups * geometry.taps
        largest = max(self.channels * height * width, max(points, self.out_channels) * self.length)
        self.sizes = dict(height=height, width=width, step=1 if self.shared else height * width)
        self.sizes |= dict(out_width=geometry.out_size[1], length=self.length)
        for name in ('stride', 'padding', 'dilation'):
            self.sizes[f'{name}_y'], self.sizes[f'{name}_x'] = getattr(geometry, name)
        self.constants: dict[str, Any] = dict(
            CHANNELS=self.channels,
            DEFORM_GROUPS=geometry.deform_groups,
            TAPS=geometry.taps,
            KERNEL_WIDTH=geometry.kernel[1],
            SPAN=self.span,
            SHARED=self.shared,
            CHANNELS_LAST=self.shared,
            ACC=_triton_dtype(self.accumulator),
            WIDE=largest >= _WIDE_FROM,
        )
        # Triton's interpreter multiplies the bits of bfloat16 as integers.
        widened = self.dtype == torch.bfloat16 and _interpreted()
        self.product = dict(
            OUT_CHANNELS=self.out_channels,
            GROUPS=geometry.groups,
            PRECISION=_precision(),
            DOT=_triton_dtype(torch.float32 if widened else self.dtype),
        )

    def staged(self, tensor: Tensor) -> Tensor:
        """A map in the kernels' dtype and layout."""
        memory_format = torch.channels_last if self.shared else torch.contiguous_format
        return tensor.to(self.dtype).contiguous(memory_format=memory_format)

    def forward(self, bias: Tensor | None, out: Tensor) -> None:
        from mmseg_medical.ops.deform_conv import triton_kernels

        blocks = _forward_blocks(self)
        constants = self.constants | dict(
            OUT_LAST=memory_format_of(out) == torch.channels_last, HAS_BIAS=bias is not None
        )
        tiles = _ceil(self.length, blocks['BLOCK_P'])
        if self.depthwise:
            kernel, units = triton_kernels.depthwise_forward, self._channel_blocks(blocks)
        else:
            kernel = triton_kernels.dense_forward
            units = self.geometry.groups * _ceil(self.group_out, blocks['BLOCK_O'])
            constants |= self.product
        arguments = self.source, self.offset, self.mask, self.weight, out if bias is None else bias, out
        with _on(out):
            kernel[(self.batch * tiles * units,)](*arguments, tiles=tiles, **self.sizes, **constants, **blocks)

    def points_backward(
        self, grad_output: Tensor, need_input: bool, need_points: bool
    ) -> tuple[Tensor | None, Tensor, Tensor]:
        """Gradients of input (in the accumulator's dtype), offset and mask; garbage where not needed."""
        from mmseg_medical.ops.deform_conv import triton_kernels

        blocks = _points_blocks(self)
        fixed_point = need_input and torch.are_deterministic_algorithms_enabled()
        grad_input, scale = self.source, self.source
        if need_input:
            dtype = torch.int64 if fixed_point else self.accumulator
            grad_input = torch.zeros_like(self.source, dtype=dtype)
        if fixed_point:
            scale = self._fixed_point_scale(grad_output)
        grad_offset, grad_mask = torch.empty_like(self.offset), torch.empty_like(self.mask)
        tiles = _ceil(self.length, blocks['BLOCK_P'])
        owners = self.geometry.deform_groups if self.shared else self._channel_blocks(blocks)
        # A program that goes through all taps finds its output gradient in the cache; few programs leave a GPU idle.
        taps_each = self.geometry.taps if self.batch * tiles * owners >= 2 * _PROGRAMS else 1
        parts = _ceil(self.geometry.taps, taps_each)
        arguments = grad_output, self.source, self.offset, self.mask, self.weight
        with _on(grad_output):
            triton_kernels.points_backward[(self.batch * tiles * owners * parts,)](
                *arguments, grad_input, grad_offset, grad_mask, scale, tiles=tiles, DEPTHWISE=self.depthwise,
                NEED_SOURCE=need_input, NEED_POINTS=need_points, FIXED_POINT=fixed_point, TAPS_EACH=taps_each,
                **self.sizes, **self.constants, **self.product, **blocks,
            )  # fmt: skip
        if fixed_point:
            grad_input = (grad_input.double() / scale).to(self.accumulator)
        return grad_input if need_input else None, grad_offset, grad_mask

    def weight_backward(self, grad_output: Tensor) -> Tensor:
        """Gradient of the weight in the accumulator's dtype: parts of the pixels apart, then added in their order."""
        from mmseg_medical.ops.deform_conv import triton_kernels

        blocks = _weight_blocks(self)
        tiles = _ceil(self.length, blocks['BLOCK_P'])
        all_tiles = self.batch * tiles
        out_blocks = 1 if self.depthwise else _ceil(self.group_out, blocks['BLOCK_O'])
        units = out_blocks * self._channel_blocks(blocks) * self.geometry.taps
        tiles_each = _ceil(all_tiles, max(1, min(all_tiles, _PROGRAMS // units)))
        parts = _ceil(all_tiles, tiles_each)
        partial = torch.empty((parts, *self.weight.shape), dtype=self.accumulator, device=self.weight.device)
        arguments = grad_output, self.source, self.offset, self.mask, partial
        with _on(grad_output):
            triton_kernels.weight_backward[(parts * units,)](
                *arguments, tiles=tiles, all_tiles=all_tiles, tiles_each=tiles_each, DEPTHWISE=self.depthwise,
                **self.sizes, **self.constants, **self.product, **blocks,
            )  # fmt: skip
        return partial.sum(0).permute(1, 3, 2, 0).reshape(self.out_channels, self.group_in, *self.geometry.kernel)

    def _channel_blocks(self, blocks: dict[str, int]) -> int:
        return self.channels // self.span * _ceil(self.span, blocks['BLOCK_C'])

    def _fixed_point_scale(self, grad_output: Tensor) -> Tensor:
        """Power of two (1,), float64, that takes any sum of samples' gradients below 2^62; NaN if one may overflow.

        It stays on the device: reading it would stall the stream and break a capture into a CUDA graph.
        """
        reach = self.weight.double().abs().sum(-1).amax()  # of one output pixel's gradients at a sample
        largest = grad_output.abs().amax().double() * reach * self.mask.abs().amax().double()
        # At worst, every tap of an image samples the same pixel.
        _, exponent = torch.frexp(largest * (self.geometry.taps * self.length))
        scale = torch.ldexp(torch.ones_like(largest), 62 - exponent)
        safe = largest <= torch.finfo(self.accumulator).max
        return torch.where(safe, scale, torch.nan).reshape(1)


def _forward_blocks(call: _Call) -> dict[str, int]:
    # A dense program keeps its (P, O) sums and four (P, C) neighbours in registers: about 100 of 255 a thread. All
    # output channels in one block, if they fit: each block samples again.
    wide = call.dtype.itemsize > 2
    if call.depthwise:
        return _depthwise_blocks(call, 2048)
    channels = _block(call.span, 16, 32 if call.shared else 16)
    rows = _block(call.group_out, 16, 64 if wide else 128)
    return dict(BLOCK_P=_pixels(call), BLOCK_C=channels, BLOCK_O=rows, num_warps=8 if rows > 64 else 4, num_stages=2)


def _points_blocks(call: _Call) -> dict[str, int]:
    # The gradient of the columns comes on top of the neighbours; output channels are only passed through.
    if call.depthwise:
        return _depthwise_blocks(call, 1024) | dict(BLOCK_O=1)
    channels = _block(call.span, 16, 32 if call.shared else 16)
    rows = _block(call.group_out, 16, 32)
    return dict(BLOCK_P=_pixels(call), BLOCK_C=channels, BLOCK_O=rows, num_warps=4, num_stages=2)


def _weight_blocks(call: _Call) -> dict[str, int]:
    if call.depthwise:
        return _depthwise_blocks(call, 1024) | dict(BLOCK_O=1)
    channels = _block(call.span, 16, 64 if call.shared else 16)
    rows = _block(call.group_out, 16, 64)
    return dict(BLOCK_P=32, BLOCK_C=channels, BLOCK_O=rows, num_warps=4, num_stages=2)


def _depthwise_blocks(call: _Call, elements: int) -> dict[str, int]:
    # 32 channels are one line of the cache in float32. With an offset group each, channels share nothing.
    channels = _block(call.span, 1, 32) if call.shared else 1
    pixels = _block(call.length, 16, elements // channels if call.shared else 256)
    return dict(BLOCK_P=pixels, BLOCK_C=channels, num_warps=4, num_stages=2)


def _pixels(call: _Call) -> int:
    # Small maps in small blocks: more programs and fewer idle rows (49 pixels of a 7 x 7 map).
    return 64 if call.batch * call.length >= 64 * _PROGRAMS // 4 else _block(call.length, 16, 32)


def _block(count: int, least: int, most: int) -> int:
    """The power of two that covers ``count``, within bounds."""
    return min(max(1 << (count - 1).bit_length(), least), most)


def _ceil(count: int, each: int) -> int:
    return -(-count // each)


def _precision() -> str:
    # The older switch, allow_tf32, cannot be read once the newer one was set.
    matmul = torch.backends.cuda.matmul
    allowed = matmul.fp32_precision == 'tf32' if hasattr(matmul, 'fp32_precision') else matmul.allow_tf32
    return 'tf32' if allowed else 'ieee'


def _triton_dtype(dtype: torch.dtype) -> Any:
    import triton.language as tl

    names = {torch.float16: 'float16', torch.bfloat16: 'bfloat16', torch.float32: 'float32', torch.float64: 'float64'}
    return getattr(tl, names[dtype])


def _interpreted() -> bool:
    return os.environ.get('TRITON_INTERPRET') == '1'


def _expect_cuda(input: Tensor) -> None:
    if not (input.is_cuda or _interpreted()):
        raise ValueError(
            f"backend='triton' expects tensors on a CUDA device, found them on {input.device}; move them there or "
            "choose backend='auto'"
        )


def _on(tensor: Tensor) -> AbstractContextManager[Any]:
    return torch.cuda.device(tensor.device) if tensor.is_cuda else nullcontext()
