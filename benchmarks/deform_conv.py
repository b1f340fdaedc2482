"""The deformable convolution's back ends side by side: speed, memory, whole network.

    python benchmarks/deform_conv.py --out benchmarks/results/deform_conv.json

Every repeat calls all back ends in turn, so a busy moment hits all alike; figures are medians. Memory and networks are
measured in a process of their own for each variant. `--sections operator memory network` selects.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import logging
import math
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from machine import describe_machine


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
        size, kernel = ('x'.join(map(str, pair)) for pair in (self.size, self.kernel))
        return (
            f'{self.batch} x {self.channels}->{self.out_channels}, {size}, {kernel}, groups {self.groups}, '
            f'deform groups {self.deform_groups}, dilation {self.dilation}'
        )

    @property
    def options(self) -> dict[str, Any]:
        padding = tuple(self.dilation * (k - 1) // 2 for k in self.kernel)
        return dict(padding=padding, dilation=self.dilation, groups=self.groups, deform_groups=self.deform_groups)

    @property
    def column_bytes(self) -> int:
        """The whole batch's column matrix in float32."""
        return 4 * self.batch * self.channels * math.prod(self.kernel) * math.prod(self.size)


SHAPES = [
    Shape(2, 48, 48, (56, 56), (3, 3), 1, 1, 4),
    Shape(2, 384, 384, (7, 7), (3, 3), 1, 1, 1),
    Shape(1, 32, 32, (240, 360), (5, 5), 32, 1, 1),
    Shape(1, 32, 32, (240, 360), (1, 3), 1, 32, 1),
    Shape(1, 64, 64, (128, 128), (3, 3), 1, 1, 1),
]
# name -> back end, memory format, compiled by torch, huge pages
NETWORKS = {
    "mmcv's operator": ('mmcv', 'contiguous', False, False),
    'torch back end': ('torch', 'contiguous', False, False),
    'numba back end': ('numba', 'contiguous', False, False),
    'numba back end, channels last, huge pages': ('numba', 'channels_last', False, True),
    'numba back end, channels last, huge pages, compiled': ('numba', 'channels_last', True, True),
    "mmcv's operator, channels last, huge pages, compiled": ('mmcv', 'channels_last', True, True),
}
STEPS = ["mmcv's operator", 'torch back end', 'numba back end', 'numba back end, channels last, huge pages']


def plain_form(
    x: Any,
    offset: Any,
    mask: Any,
    weight: Any,
    bias: Any,
    *,
    padding: Any,
    dilation: int,
    groups: int,
    deform_groups: int,
) -> Any:
    """The operator as one would first write it: one grid_sample over all taps, one matrix product."""
    import torch
    import torch.nn.functional as F

    n, c, h, w = x.shape
    kh, kw = weight.shape[2:]
    k, g = kh * kw, deform_groups
    out_h, out_w = offset.shape[2:]
    rows, columns = torch.arange(out_h).view(-1, 1), torch.arange(out_w)
    tap = torch.arange(k)
    y = rows - padding[0] + (tap // kw * dilation).view(-1, 1, 1)
    x_ = columns - padding[1] + (tap % kw * dilation).view(-1, 1, 1)
    shift = offset.view(n * g, k, 2, out_h, out_w)
    grid = torch.stack(
        (2 * (shift[:, :, 1] + x_) / max(w - 1, 1) - 1, 2 * (shift[:, :, 0] + y) / max(h - 1, 1) - 1), -1
    )
    samples = F.grid_sample(x.view(n * g, c // g, h, w), grid.view(n * g, k * out_h, out_w, 2), align_corners=True)
    samples = samples.view(n, g, c // g, k, -1) * mask.view(n, g, 1, k, -1)
    out = weight.view(groups, -1, c // groups * k) @ samples.view(n, groups, c // groups * k, -1)
    return out.view(n, -1, out_h, out_w) + bias.view(1, -1, 1, 1)


def implementations() -> dict[str, Callable[..., Any]]:
    from functools import partial

    from mmseg_medical.ops import modulated_deform_conv2d
    from mmseg_medical.ops.deform_conv import available_backends

    names = [name for name in ('numba', 'torch', 'mmcv') if name in available_backends()]
    return {name: partial(modulated_deform_conv2d, backend=name) for name in names} | {'plain grid_sample': plain_form}


def arguments_of(shape: Shape) -> tuple[list[Any], Any]:
    import torch

    generator = torch.Generator().manual_seed(0)
    points = shape.deform_groups * math.prod(shape.kernel)
    tensors = [
        torch.randn(shape.batch, shape.channels, *shape.size, generator=generator),
        2 * torch.randn(shape.batch, 2 * points, *shape.size, generator=generator),
        torch.rand(shape.batch, points, *shape.size, generator=generator),
        0.05 * torch.randn(shape.out_channels, shape.channels // shape.groups, *shape.kernel, generator=generator),
        torch.randn(shape.out_channels, generator=generator),
    ]
    grad = torch.randn(shape.batch, shape.out_channels, *shape.size, generator=generator)
    return [tensor.requires_grad_() for tensor in tensors], grad


def time_once(call: Callable[..., Any], tensors: list[Any], grad: Any, options: dict[str, Any]) -> tuple[float, float]:
    import torch

    start = time.perf_counter()
    out = call(*tensors, **options)
    middle = time.perf_counter()
    torch.autograd.grad(out, tensors, grad)
    return middle - start, time.perf_counter() - middle


def measure_operator(threads: int, repeats: int) -> dict[str, Any]:
    import torch

    torch.set_num_threads(threads)
    calls = implementations()
    results: dict[str, Any] = {}
    for shape in SHAPES:
        tensors, grad = arguments_of(shape)
        times: dict[str, list[tuple[float, float]]] = {name: [] for name in calls}
        for repeat in range(repeats + 1):
            for name, call in calls.items():
                if name == 'mmcv' and len(times[name]) > max(3, repeats // 3):
                    continue  # seconds a call
                taken = time_once(call, tensors, grad, shape.options)
                if repeat:  # the first compiles, allocates and warms up
                    times[name].append(taken)
        figures = {}
        for name, taken in times.items():
            forward, backward = (1e3 * statistics.median(part) for part in zip(*taken, strict=True))
            both = 1e3 * statistics.median(a + b for a, b in taken)
            figures[name] = {
                'forward_ms': round(forward, 2),
                'backward_ms': round(backward, 2),
                'both_ms': round(both, 2),
            }
        for name in calls:
            figures[name]['times_numba'] = round(figures[name]['both_ms'] / figures['numba']['both_ms'], 2)
        results[shape.name] = figures
        print(threads, 'threads', shape.name, {name: figure['both_ms'] for name, figure in figures.items()}, flush=True)
    means = {
        name: round(math.exp(statistics.fmean(math.log(row[name]['times_numba']) for row in results.values())), 2)
        for name in calls
    }
    return {'shapes': results, 'geometric_mean_times_numba': means}


def first_calls() -> dict[str, float]:
    """Seconds of the first forward and backward pass of a process over all shapes, without and with numba's cache."""
    with tempfile.TemporaryDirectory() as folder:
        environment = os.environ | {'NUMBA_CACHE_DIR': folder}
        return {
            name: child('first', environment=environment)['seconds'] - child('second')['seconds']
            for name in ('empty_cache_s', 'filled_cache_s')
        }


def child(*arguments: str, environment: dict[str, str] | None = None) -> dict[str, Any]:
    """Run a part of this file in a fresh process; its last line is JSON."""
    command = [sys.executable, __file__, '--child', *arguments]
    done = subprocess.run(command, check=True, capture_output=True, text=True, env=environment)
    return json.loads(done.stdout.splitlines()[-1])


def first_in_child(passes: int) -> dict[str, float]:
    from mmseg_medical.ops import modulated_deform_conv2d

    small = [shape._replace(size=(7, 7)) for shape in SHAPES]
    seconds = 0.0
    for _ in range(passes):
        start = time.perf_counter()
        for shape in small:
            tensors, grad = arguments_of(shape)
            time_once(modulated_deform_conv2d, tensors, grad, shape.options)
        seconds = time.perf_counter() - start
    return {'seconds': round(seconds, 3)}


def resident_bytes(field: str) -> int:
    line = next(row for row in Path('/proc/self/status').read_text().splitlines() if row.startswith(field))
    return 1024 * int(line.split()[1])


def memory_in_child(number: int, name: str) -> dict[str, float]:
    """Peak of the resident memory of a forward and backward pass over that before, less output and gradients."""
    import torch

    torch.set_num_threads(2)
    shape, call = SHAPES[number], implementations()[name]
    for warm in (shape._replace(size=(9, 9)), shape._replace(size=(9, 9))):
        tensors, grad = arguments_of(warm)
        time_once(call, tensors, grad, warm.options)
    tensors, grad = arguments_of(shape)
    Path('/proc/self/clear_refs').write_text('5')  # the peak starts anew
    before = resident_bytes('VmRSS')
    out = call(*tensors, **shape.options)
    gradients = torch.autograd.grad(out, tensors, grad)
    kept = sum(4 * tensor.numel() for tensor in (out, *gradients))
    return {'extra_mb': round((resident_bytes('VmHWM') - before - kept) / 1e6, 2)}


def measure_memory() -> dict[str, Any]:
    results = {}
    for number in (0, 2):
        figures = {name: child('memory', str(number), name)['extra_mb'] for name in implementations()}
        results[SHAPES[number].name] = {
            'column_matrix_of_the_batch_mb': round(SHAPES[number].column_bytes / 1e6, 2),
            'extra_mb': figures,
        }
        print(SHAPES[number].name, results[SHAPES[number].name], flush=True)
    return results


def build_network(backend: str) -> Any:
    import torch
    from mmseg_medical import apis

    logging.disable(logging.INFO)
    torch.manual_seed(0)
    cfg = apis.load_config('configs/hacdr/idrid.py', None)
    cfg.model.backbone.deform_backend = backend
    model = apis.build_model(cfg)
    model.backbone.init_weights()  # offsets as training starts with them, not zero
    return torch.nn.Sequential(model.backbone, model.decode_head)


def network_in_child(name: str, repeats: int) -> dict[str, Any]:
    import torch

    backend, memory_format, compiled, _ = NETWORKS[name]
    torch.set_num_threads(2)
    kind = getattr(torch, f'{memory_format}_format' if memory_format == 'contiguous' else memory_format)
    network = build_network(backend).eval().to(memory_format=kind)
    x = torch.randn(1, 3, 960, 1440, generator=torch.Generator().manual_seed(1)).to(memory_format=kind)
    if compiled:
        import torch._inductor.config as inductor

        inductor.freezing = True  # batch norms are folded into convolutions
        network = torch.compile(network)
    seconds = []
    with torch.inference_mode():
        start = time.perf_counter()
        out = network(x)
        first = time.perf_counter() - start
        for _ in range(repeats):
            start = time.perf_counter()
            out = network(x)
            seconds.append(time.perf_counter() - start)
    return {
        'seconds': round(statistics.median(seconds), 3),
        'first_s': round(first, 2),
        'peak_mb': round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3),
        'output': out[0, :, ::60, ::60].flatten().tolist(),
    }


def step_in_child(name: str, repeats: int) -> dict[str, Any]:
    import torch
    import torch.nn.functional as F

    backend, memory_format, _, _ = NETWORKS[name]
    torch.set_num_threads(2)
    kind = getattr(torch, f'{memory_format}_format' if memory_format == 'contiguous' else memory_format)
    network = build_network(backend).train().to(memory_format=kind)
    optimizer = torch.optim.AdamW(network.parameters(), 1e-4)
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(2, 3, 256, 256, generator=generator).to(memory_format=kind)[:1]
    target = torch.randint(0, 5, (1, 256, 256), generator=generator)
    seconds = []
    for _ in range(repeats + 1):
        start = time.perf_counter()
        loss = F.cross_entropy(F.interpolate(network(x), target.shape[1:], mode='bilinear'), target)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        seconds.append(time.perf_counter() - start)
    return {'seconds': round(statistics.median(seconds[1:]), 3), 'loss': float(loss)}


def measure_network(repeats: int) -> dict[str, Any]:
    results: dict[str, Any] = {'inference 960x1440': {}, 'training step 256x256': {}}
    for section, kind, names in (
        ('inference 960x1440', 'network', list(NETWORKS)),
        ('training step 256x256', 'step', STEPS),
    ):
        for name in names:
            environment = os.environ | ({'THP_MEM_ALLOC_ENABLE': '1'} if NETWORKS[name][3] else {})
            figures = child(kind, name, str(repeats), environment=environment)
            results[section][name] = figures
            print(section, name, figures['seconds'], flush=True)
        reference = results[section]["mmcv's operator"]
        for figures in results[section].values():
            figures['mmcv_times'] = round(reference['seconds'] / figures['seconds'], 2)
            if 'output' in figures and figures is not reference:
                pairs = zip(figures.pop('output'), reference['output'], strict=True)
                figures['max_difference_to_mmcv'] = max(abs(a - b) for a, b in pairs)
        reference.pop('output', None)
    return results


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--sections', nargs='+', default=['operator', 'memory', 'network'])
    parser.add_argument('--threads', nargs='+', type=int, default=[2, 1])
    parser.add_argument('--repeats', type=int, default=9)
    parser.add_argument('--out', type=Path)
    parser.add_argument('--child', nargs='+', help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        part, *rest = arguments.child
        parts: dict[str, Callable[..., Any]] = {
            'first': lambda: first_in_child(1),
            'second': lambda: first_in_child(2),
            'memory': lambda number, name: memory_in_child(int(number), name),
            'network': lambda name, repeats: network_in_child(name, int(repeats)),
            'step': lambda name, repeats: step_in_child(name, int(repeats)),
        }
        with contextlib.redirect_stdout(sys.stderr):
            figures = parts[part](*rest)
        print(json.dumps(figures))
        return
    results: dict[str, Any] = {}
    if arguments.out and arguments.out.exists():
        results = json.loads(arguments.out.read_text())
    if 'operator' in arguments.sections:
        results['first call, all shapes, s'] = first_calls()
        results['operator, float32'] = {
            f'{threads} threads': measure_operator(threads, arguments.repeats) for threads in arguments.threads
        }
    if 'memory' in arguments.sections:
        results['peak extra memory, forward and backward'] = measure_memory()
    if 'network' in arguments.sections:
        results['HACDR-Net'] = measure_network(max(3, arguments.repeats // 3))
    results['machine'] = describe_machine()
    text = json.dumps(results, indent=2)
    if arguments.out:
        arguments.out.parent.mkdir(parents=True, exist_ok=True)
        arguments.out.write_text(text + '\n')
    else:
        print(text)


if __name__ == '__main__':
    main()
