"""torch's convolution and pooling with three axes, where it is wrong, slow or wasteful."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import conv3d, pad

#: elements of the first four axes up to which torch does not ask oneDNN
_SMALL = 20480


class Conv3d(nn.Conv3d):
    """torch's convolution, in full precision where the CPU's half is wrong, and in halves where torch is slow.

    oneDNN's bfloat16 gradient of 3D kernels reads memory that nobody wrote where an axis has one or two voxels (torch
    2.13: infinite or NaN weights after some steps). Such maps are tiny, full precision costs nothing there.

    Of a single small map in float32 torch makes a column matrix (use_mkldnn in ATen's Convolution.cpp), which takes up
    to twenty times as long as oneDNN, forwards and backwards. Of two samples it does not.
    """

    def forward(self, input: Tensor) -> Tensor:
        """Map (N, C, I, J, K) as ``nn.Conv3d`` does."""
        if input.is_cpu and min(input.shape[2:]) < 3 and torch.is_autocast_enabled('cpu'):
            with torch.autocast('cpu', enabled=False):
                return super().forward(input.float())
        return super().forward(input)

    def _conv_forward(self, input: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        if self._left_to_loops(input):
            return self._in_halves(input, weight, bias)
        return super()._conv_forward(input, weight, bias)

    def _in_halves(self, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        """Convolve the halves of a map along its first axis, with what they see of each other, as two samples."""
        halves = _halves(x, self.kernel_size[0] // 2)
        padding: Any = (0, *self.padding[1:])
        out = conv3d(halves, weight, bias, self.stride, padding, self.dilation, self.groups)
        return torch.cat(out.split(1), dim=2)[:, :, : x.shape[2]]

    def _backward_in_halves(self, grad: Tensor, x: Tensor, wanted: bool) -> tuple[Any, Tensor, Any]:
        """What autograd makes of :meth:`_in_halves`."""
        around, length = self.kernel_size[0] // 2, x.shape[2]
        half = -(-length // 2)
        halves, grads = (
            _halves(x, around),
            torch.cat((grad[:, :, :half], pad(grad[:, :, half:], (0, 0, 0, 0, 0, 2 * half - length)))),
        )
        back, weight, bias = _backward(self, grads, halves, (0, *self.padding[1:]), wanted)
        if not wanted:
            return None, weight, bias
        whole = back.new_zeros((1, back.shape[1], 2 * half + 2 * around, *back.shape[3:]))
        whole[:, :, : half + 2 * around] = back[:1]
        whole[:, :, half:] += back[1:]
        return whole[:, :, around : around + length], weight, bias

    def _left_to_loops(self, x: Tensor) -> bool:
        if torch.compiler.is_compiling() or torch.jit.is_tracing():
            return False
        small = x.is_cpu and x.dtype == torch.float32 and len(x) == 1 and 0 < math.prod(x.shape[:4]) <= _SMALL
        usual = self.stride[0] == self.dilation[0] == 1 and self.padding[0] == self.kernel_size[0] // 2
        return small and usual and self.kernel_size[1:] != (1, 1) and not torch.is_autocast_enabled('cpu')


def _halves(x: Tensor, around: int) -> Tensor:
    """Halves (2, C, ...) of a map along its first axis with ``around`` rows more on either side."""
    half = -(-x.shape[2] // 2)
    padded = pad(x, (0, 0, 0, 0, around, around + 2 * half - x.shape[2]))
    return torch.cat((padded[:, :, : half + 2 * around], padded[:, :, half:]))


def convolution_backward(conv: Any, grad: Tensor, x: Tensor, wanted: bool = True) -> tuple[Any, Tensor, Any]:
    """Gradients of a convolution of any rank, transposed or not, as autograd finds them.

    Args:
        conv (nn.Module): Convolution.
        grad (Tensor): Of its output, shape (N, C', *S').
        x (Tensor): Its input, shape (N, C, *S), of the same dtype.
        wanted (bool): Whether that of the input is.

    Returns:
        tuple[Tensor | None, Tensor, Tensor | None]: Of the input, the weight and the bias, if there is one.
    """
    if isinstance(conv, Conv3d) and conv._left_to_loops(x):
        return conv._backward_in_halves(grad, x, wanted)
    return _backward(conv, grad, x, conv.padding, wanted)


def _backward(conv: Any, grad: Tensor, x: Tensor, padding: Any, wanted: bool) -> tuple[Any, Tensor, Any]:
    size = None if conv.bias is None else [len(conv.bias)]
    mask = [wanted, True, conv.bias is not None]
    back, weight, bias = torch.ops.aten.convolution_backward(
        grad,
        x,
        conv.weight.to(x.dtype),
        size,
        conv.stride,
        padding,
        conv.dilation,
        conv.transposed,
        conv.output_padding,
        conv.groups,
        mask,
    )
    return back, weight, bias


class MaxPool3d(nn.MaxPool3d):
    """torch's pooling, in half precision where autocast leaves it on the CPU; without a gradient, pairs by maxima.

    Maxima of slices need no indices, eight bytes a voxel.
    """

    def forward(self, input: Tensor) -> Tensor:
        """Map (N, C, I, J, K) as ``nn.MaxPool3d`` does."""
        factors = self.kernel_size if isinstance(self.kernel_size, tuple) else (self.kernel_size,) * 3
        pairs = set(factors) <= {1, 2} and not any(n % f for n, f in zip(input.shape[2:], factors, strict=True))
        if not pairs or torch.is_grad_enabled() or torch.compiler.is_compiling() or torch.jit.is_tracing():
            if not input.is_cpu:
                return super().forward(input)
            with torch.autocast('cpu', enabled=False):  # it would keep a copy in single precision
                return super().forward(input)
        for axis, factor in enumerate(factors, 2):
            if factor == 2:
                before: Any = (slice(None),) * axis
                input = torch.maximum(input[(*before, slice(0, None, 2))], input[(*before, slice(1, None, 2))])
        return input
