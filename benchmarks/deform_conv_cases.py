"""The layers that benchmarks of the deformable convolution measure, and the operators they compare."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

PLAIN = 'plain grid_sample'


class Shape(NamedTuple):
    """Of one layer with stride 1 and an output as large as its input."""

    batch: int
    channels: int
    out_channels: int
    size: tuple[int, int]
    kernel: tuple[int, int]
    groups: int
    deform_groups: int
    dilation: int

    @property
    def name(self) -> str:
        """For tables and JSON."""
        size, kernel = ('x'.join(map(str, pair)) for pair in (self.size, self.kernel))
        return (
            f'{self.batch} x {self.channels}->{self.out_channels}, {size}, {kernel}, groups {self.groups}, '
            f'deform groups {self.deform_groups}, dilation {self.dilation}'
        )

    @property
    def options(self) -> dict[str, Any]:
        """Keyword arguments of the operator."""
        padding = tuple(self.dilation * (k - 1) // 2 for k in self.kernel)
        return dict(padding=padding, dilation=self.dilation, groups=self.groups, deform_groups=self.deform_groups)

    @property
    def columns(self) -> int:
        """Elements of the column matrix of the whole batch, N C K L."""
        return self.batch * self.channels * math.prod(self.kernel) * math.prod(self.size)


SHAPES = (
    Shape(2, 48, 48, (56, 56), (3, 3), 1, 1, 4),
    Shape(2, 384, 384, (7, 7), (3, 3), 1, 1, 1),
    Shape(1, 32, 32, (240, 360), (5, 5), 32, 1, 1),
    Shape(1, 32, 32, (240, 360), (1, 3), 1, 32, 1),
    Shape(1, 64, 64, (128, 128), (3, 3), 1, 1, 1),
)


def plain_form(
    x: Tensor,
    offset: Tensor,
    mask: Tensor,
    weight: Tensor,
    bias: Tensor,
    *,
    padding: tuple[int, int],
    dilation: int,
    groups: int,
    deform_groups: int,
) -> Tensor:
    """The operator as one would first write it: one grid_sample over all taps, one matrix product."""
    n, c, h, w = x.shape
    kernel_w, k, g = weight.shape[3], weight[0, 0].numel(), deform_groups
    tap = torch.arange(k, device=x.device)
    y = torch.arange(h, device=x.device).view(-1, 1) - padding[0] + (tap // kernel_w * dilation).view(-1, 1, 1)
    x_ = torch.arange(w, device=x.device) - padding[1] + (tap % kernel_w * dilation).view(-1, 1, 1)
    shift = offset.view(n * g, k, 2, h, w)
    position = torch.stack(((shift[:, :, 1] + x_) / (w - 1), (shift[:, :, 0] + y) / (h - 1)), -1)
    grid = (2 * position - 1).view(n * g, k * h, w, 2)
    samples = F.grid_sample(x.view(n * g, c // g, h, w), grid.to(x.dtype), align_corners=True)
    samples = samples.view(n, g, c // g, k, -1) * mask.view(n, g, 1, k, -1)
    out = weight.view(groups, -1, c // groups * k) @ samples.view(n, groups, c // groups * k, -1)
    return out.view(n, -1, h, w) + bias.view(1, -1, 1, 1)


def implementations(names: tuple[str, ...] = ('numba', 'torch', 'mmcv')) -> dict[str, Callable[..., Tensor]]:
    """Those back ends among ``names`` that can run here, and the plain form."""
    from mmseg_medical.ops import modulated_deform_conv2d
    from mmseg_medical.ops.deform_conv import available_backends

    available = [name for name in names if name in available_backends()]
    return {name: partial(modulated_deform_conv2d, backend=name) for name in available} | {PLAIN: plain_form}


def arguments_of(
    shape: Shape, device: str = 'cpu', dtype: torch.dtype = torch.float32
) -> tuple[tuple[Tensor, ...], Tensor]:
    """Input, offset of 2 px standard deviation, mask, weight and bias, and a gradient of the output."""
    generator = torch.Generator().manual_seed(0)
    points = shape.deform_groups * math.prod(shape.kernel)
    tensors = (
        torch.randn(shape.batch, shape.channels, *shape.size, generator=generator),
        2 * torch.randn(shape.batch, 2 * points, *shape.size, generator=generator),
        torch.rand(shape.batch, points, *shape.size, generator=generator),
        0.05 * torch.randn(shape.out_channels, shape.channels // shape.groups, *shape.kernel, generator=generator),
        torch.randn(shape.out_channels, generator=generator),
    )
    grad = torch.randn(shape.batch, shape.out_channels, *shape.size, generator=generator)
    return tuple(tensor.to(device, dtype).requires_grad_() for tensor in tensors), grad.to(device, dtype)


def time_once(
    call: Callable[..., Tensor], tensors: tuple[Tensor, ...], grad: Tensor, options: dict[str, Any]
) -> tuple[float, float, Tensor]:
    """Seconds of the forward and of the backward pass, and the output."""
    start = time.perf_counter()
    out = call(*tensors, **options)
    middle = time.perf_counter()
    gradients = torch.autograd.grad(out, tensors, grad)
    end = time.perf_counter()
    del gradients
    return middle - start, end - middle, out.detach()


def relative_difference(out: Tensor, reference: Tensor) -> float:
    """Largest difference over the largest value of the reference."""
    return float((out.double() - reference.double()).abs().max() / reference.double().abs().max())


def geometric_mean(values: list[float]) -> float:
    """Of positive values."""
    return round(math.exp(math.fsum(map(math.log, values)) / len(values)), 2)


def child(part: str, *arguments: Any, environment: dict[str, str] | None = None) -> dict[str, Any]:
    """Run a part of ``deform_conv.py`` in a fresh process, whose last line is JSON."""
    script = Path(__file__).with_name('deform_conv.py')
    command = [sys.executable, str(script), '--child', json.dumps([part, *arguments])]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, env={**os.environ, **(environment or {})})
    if done.returncode:
        raise RuntimeError(f'{part} {arguments} ended with code {done.returncode}; its messages are above')
    return json.loads(done.stdout.splitlines()[-1])
