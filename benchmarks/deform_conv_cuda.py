"""The deformable convolution on a GPU: back ends, dtypes, and how near the device's ceilings they come."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

import torch
from deform_conv_cases import Shape, arguments_of, geometric_mean, implementations
from torch import Tensor

BATCH = 8
DTYPES = (torch.float32, torch.float16, torch.bfloat16)
# Weights of the corners, modulation and blend of one sample.
SAMPLE_FLOPS = 8


def measure_cuda(shapes: list[Shape], repeats: int) -> dict[str, Any]:
    """Back ends in turn in every repeat, milliseconds by CUDA events."""
    calls: dict[str, Callable[..., Tensor]] = implementations(('triton', 'mmcv'))
    if find_spec('torchvision'):
        calls['torchvision'] = _torchvision
    results: dict[str, Any] = {'batch': BATCH}
    for dtype in DTYPES:
        ceilings = _ceilings(dtype)
        rows = {}
        for shape in shapes:
            large = shape._replace(batch=BATCH)
            rows[large.name] = _measure_shape(calls, large, dtype, repeats, ceilings)
        means = {
            name: geometric_mean(ratios)
            for name in calls
            if len(ratios := [row[name]['over_triton'] for row in rows.values() if 'over_triton' in row[name]])
            == len(rows)
        }
        results[str(dtype).removeprefix('torch.')] = {
            'ceilings': ceilings,
            'shapes': rows,
            'geometric_mean_over_triton': means,
        }
    return results


def _measure_shape(
    calls: dict[str, Callable[..., Tensor]],
    shape: Shape,
    dtype: torch.dtype,
    repeats: int,
    ceilings: dict[str, float],
) -> dict[str, dict[str, Any]]:
    tensors, grad = arguments_of(shape, 'cuda', dtype)
    times: dict[str, list[tuple[float, float]]] = {}
    row: dict[str, dict[str, Any]] = {}
    for repeat in range(-3, repeats):  # compilation, allocation, clocks
        for name, call in calls.items():
            if name in row:
                continue
            try:
                taken = _time_once(call, tensors, grad, shape.options)
            except (RuntimeError, ImportError) as error:  # a dtype that one does not know, a build without CUDA
                row[name] = {'error': f'{type(error).__name__}: {error}'.splitlines()[0]}
                continue
            if repeat >= 0:
                times.setdefault(name, []).append(taken)
    for name, taken in times.items():
        if name in row:
            continue
        forward, backward = (statistics.median(part) for part in zip(*taken, strict=True))
        both = statistics.median(map(sum, taken))
        flops, moved = _cost(shape, dtype)
        row[name] = {
            'forward_ms': round(forward, 4),
            'backward_ms': round(backward, 4),
            'both_ms': round(both, 4),
            'gb_per_s': round(moved / both / 1e6, 1),
            'tflop_per_s': round(flops / both / 1e9, 2),
            'share_of_copy': round(moved / both / 1e6 / ceilings['copy_gb_per_s'], 3),
            'share_of_matmul': round(flops / both / 1e9 / ceilings['matmul_tflop_per_s'], 3),
        }
    if 'both_ms' in row.get('triton', {}):
        for found in row.values():
            if 'both_ms' in found:
                found['over_triton'] = round(found['both_ms'] / row['triton']['both_ms'], 2)
    return row


def _cost(shape: Shape, dtype: torch.dtype) -> tuple[int, int]:
    """Operations and the fewest bytes of forward and backward: every argument and result once a pass."""
    tensors, points = shape.batch * math.prod(shape.size), shape.deform_groups * math.prod(shape.kernel)
    weight = shape.out_channels * shape.channels // shape.groups * math.prod(shape.kernel)
    product = 2 * tensors * weight
    arguments = tensors * (shape.channels + 3 * points) + weight
    out = tensors * shape.out_channels
    # forward: arguments, output; backward: arguments and their gradients, output's gradient
    moved = (arguments + out) + (2 * arguments + out)
    return 3 * product + 3 * SAMPLE_FLOPS * shape.columns, moved * dtype.itemsize


def _time_once(
    call: Callable[..., Tensor], tensors: tuple[Tensor, ...], grad: Tensor, options: dict[str, Any]
) -> tuple[float, float]:
    start, middle, end = (torch.cuda.Event(enable_timing=True) for _ in range(3))
    torch.cuda.synchronize()
    start.record()
    out = call(*tensors, **options)
    middle.record()
    torch.autograd.grad(out, tensors, grad)
    end.record()
    torch.cuda.synchronize()
    return start.elapsed_time(middle), middle.elapsed_time(end)


def _ceilings(dtype: torch.dtype) -> dict[str, float]:
    """What a large copy and a large matrix product reach."""
    source = torch.empty(2**30 // dtype.itemsize, dtype=dtype, device='cuda')
    target = torch.empty_like(source)
    side = 8192
    a, b = (torch.randn(side, side, device='cuda').to(dtype) for _ in range(2))
    copy = _fastest(lambda: target.copy_(source))
    product = _fastest(lambda: a @ b)
    return {
        'copy_gb_per_s': round(2 * source.nbytes / copy / 1e6, 1),
        'matmul_tflop_per_s': round(2 * side**3 / product / 1e9, 2),
    }


def _fastest(call: Callable[[], object]) -> float:
    times = []
    for _ in range(10):
        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        start.record()
        call()
        end.record()
        torch.cuda.synchronize()
        times.append(start.elapsed_time(end))
    return min(times)


def _torchvision(
    x: Tensor, offset: Tensor, mask: Tensor, weight: Tensor, bias: Tensor, *, padding: Any, dilation: int, **_: int
) -> Tensor:
    # It reads both kinds of groups from the shapes.
    from torchvision.ops import deform_conv2d

    return deform_conv2d(x, offset, weight, bias, padding=padding, dilation=dilation, mask=mask)
