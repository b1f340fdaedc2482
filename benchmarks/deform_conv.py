"""The deformable convolution's back ends side by side: speed, memory, whole network.

    python benchmarks/deform_conv.py [--sections operator memory network] [--threads 1 2] [--shapes 1 3]

Every repeat calls the back ends in turn, so that a busy moment hits all alike; figures are medians. What the first call
of a process costs, memory and networks are measured in processes of their own. With a GPU, section `cuda` too.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from deform_conv_cases import (
    SHAPES,
    Shape,
    arguments_of,
    child,
    geometric_mean,
    implementations,
    relative_difference,
    time_once,
)
from deform_conv_cuda import measure_cuda
from deform_conv_network import INFERENCE, TRAINING, measure_network, network_in_child
from machine import describe_machine
from resident_memory import PeakMemory
from rich.console import Console
from rich.table import Table

SECTIONS = ('operator', 'first call', 'memory', 'network', 'cuda')
# Of the issue: mean of all shapes with two threads; extra memory over that of the column matrix.
TARGETS = {'mmcv': 25.0, 'torch': 3.0, 'memory': 0.25}


def measure_operator(shapes: list[Shape], threads: int, repeats: int, slow_repeats: int) -> dict[str, Any]:
    """Milliseconds of each back end, and how many times those of numba they are."""
    torch.set_num_threads(threads)
    calls = implementations()
    rows: dict[str, dict[str, Any]] = {}
    for shape in shapes:
        tensors, grad = arguments_of(shape)
        outputs = {name: time_once(call, tensors, grad, shape.options)[2] for name, call in calls.items()}  # warms up
        times: dict[str, list[tuple[float, float]]] = {name: [] for name in calls}
        step = max(1, repeats // slow_repeats)
        for repeat in range(repeats):
            for name, call in calls.items():
                if name == 'mmcv' and repeat % step:
                    continue  # up to 40 s a call: fewer, spread over the same time
                times[name].append(time_once(call, tensors, grad, shape.options)[:2])
        row = rows[shape.name] = {}
        for name, taken in times.items():
            forward, backward = (1e3 * statistics.median(part) for part in zip(*taken, strict=True))
            both = [1e3 * sum(pair) for pair in taken]
            row[name] = {
                'forward_ms': round(forward, 3),
                'backward_ms': round(backward, 3),
                'both_ms': round(statistics.median(both), 3),
                'spread_ms': [round(min(both), 3), round(max(both), 3)],
                'repeats': len(taken),
                'relative_difference_to_torch': relative_difference(outputs[name], outputs['torch']),
            }
        for found in row.values():
            found['over_numba'] = round(found['both_ms'] / row['numba']['both_ms'], 2) if 'numba' in row else None
        print(f'{threads} threads', shape.name, {name: found['both_ms'] for name, found in row.items()}, flush=True)
    means = {
        name: geometric_mean([row[name]['over_numba'] for row in rows.values()]) for name in calls if 'numba' in calls
    }
    return {'shapes': rows, 'geometric_mean_over_numba': means}


def measure_first_call() -> dict[str, Any]:
    """A process's first pass over all shapes, while numba's cache is empty and when it is filled."""
    with tempfile.TemporaryDirectory() as folder:
        environment = {'NUMBA_CACHE_DIR': folder}
        return {name: child('first', environment=environment) for name in ('empty cache', 'warm cache')}


def first_in_child() -> dict[str, Any]:
    """Seconds of the first and second forward and backward pass over small maps of all shapes."""
    from mmseg_medical.ops import modulated_deform_conv2d

    passes = []
    for _ in range(2):
        seconds = []
        for shape in SHAPES:
            tensors, grad = arguments_of(shape._replace(size=(9, 9)))
            start = time.perf_counter()
            time_once(modulated_deform_conv2d, tensors, grad, shape.options)
            seconds.append(round(time.perf_counter() - start, 3))
        passes.append(seconds)
    return {
        'first_call_s': round(sum(passes[0]) - sum(passes[1]), 3),
        'by_shape_s': passes[0],
        'second_call_s': round(sum(passes[1]), 3),
    }


def measure_memory(shapes: list[Shape], threads: int, repeats: int) -> dict[str, Any]:
    """Median of the extra memory of fresh processes, beside the column matrix."""
    rows = {}
    for shape in shapes:
        columns = 4 * shape.columns / 1e6
        row: dict[str, Any] = {'column_matrix_mb': round(columns, 2)}
        for name in implementations():
            runs = 1 if name == 'mmcv' else repeats
            extra = statistics.median(child('memory', shape, name, threads)['extra_mb'] for _ in range(runs))
            row[name] = {'extra_mb': round(extra, 2), 'over_column_matrix': round(extra / columns, 3)}
        for name in set(row) - {'column_matrix_mb'}:
            if 'mmcv' in row:
                row[name]['over_mmcv'] = round(row[name]['extra_mb'] / row['mmcv']['extra_mb'], 3)
        rows[shape.name] = row
        print(shape.name, row, flush=True)
    return rows


def memory_in_child(shape: list[Any], name: str, threads: int) -> dict[str, float]:
    """Peak of the resident memory during a forward and backward pass, less that before, the output and the gradients.

    A small map of the same layer goes first, so that neither compilation nor the libraries' buffers count.
    """
    torch.set_num_threads(threads)
    layer, call = Shape(*shape), implementations()[name]
    small = layer._replace(size=(9, 9))
    for _ in range(2):
        time_once(call, *arguments_of(small), small.options)
    tensors, grad = arguments_of(layer)
    memory = PeakMemory()
    out = call(*tensors, **layer.options)
    gradients = torch.autograd.grad(out, tensors, grad)
    kept = sum(tensor.nbytes for tensor in (out, *gradients))
    return {'extra_mb': memory.extra_mb() - kept / 1e6}


def print_tables(results: dict[str, Any]) -> None:
    """What was measured, for a reader at the terminal."""
    console = Console()
    for threads, found in results.get('operator', {}).items():
        means = found['geometric_mean_over_numba']
        names = list(next(iter(found['shapes'].values())))
        table = Table('shape', *names, title=f'forward + backward, ms (times numba), float32, {threads}')
        for shape, row in found['shapes'].items():
            table.add_row(shape, *(f'{row[name]["both_ms"]} ({row[name]["over_numba"]})' for name in names))
        table.add_row('geometric mean', *(f'{means.get(name)}' for name in names))
        console.print(table)
    if 'memory' in results:
        rows = results['memory']
        names = [name for name in next(iter(rows.values())) if name != 'column_matrix_mb']
        table = Table('shape', 'column matrix', *names, title='peak extra memory, MB (times the column matrix)')
        for shape, row in rows.items():
            cells = (f'{row[name]["extra_mb"]} ({row[name]["over_column_matrix"]})' for name in names)
            table.add_row(shape, f'{row["column_matrix_mb"]}', *cells)
        console.print(table)
    for section, variants in results.get('network', {}).items():
        table = Table('variant', 'seconds', 'mmcv / this', 'difference to torch', title=f'HACDR-Net, {section}')
        for name, row in variants.items():
            ratio, difference = row.get('mmcv_over_this'), row.get('max_abs_difference_to_torch')
            table.add_row(name, f'{row["seconds"]}', f'{ratio}', f'{difference}')
        console.print(table)
    if 'first call' in results:
        console.print('first call, s:', {name: row['first_call_s'] for name, row in results['first call'].items()})


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    numbers = range(1, len(SHAPES) + 1)
    parser.add_argument('--sections', nargs='+', choices=SECTIONS, default=SECTIONS)
    parser.add_argument('--network', action='store_true', help='the same as --sections network')
    parser.add_argument('--shapes', nargs='+', type=int, choices=numbers, default=list(numbers), help='counted from 1')
    parser.add_argument('--threads', nargs='+', type=int, default=[1, 2], help='the network uses the last number')
    parser.add_argument('--repeats', type=int, default=9)
    parser.add_argument('--slow-repeats', type=int, default=3, help="of mmcv's operator and of networks")
    parser.add_argument('--variants', nargs='+', choices=sorted({*INFERENCE, *TRAINING}), help='of the network')
    parser.add_argument('--image', nargs=2, type=int, default=[960, 1440], metavar=('H', 'W'), help='of inference')
    parser.add_argument('--crop', nargs=2, type=int, default=[256, 256], metavar=('H', 'W'), help='of a training step')
    parser.add_argument('--out', type=Path, default=Path('benchmarks/results/deform_conv.json'))
    parser.add_argument('--child', help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.network:
        args.sections = ('network',)
    return args


def main() -> None:
    """Measure the sections asked for; others that the file holds stay, with the machine they were measured on."""
    args = parse_args()
    if args.child:
        part, *rest = json.loads(args.child)
        parts: dict[str, Callable[..., Any]] = dict(
            first=first_in_child, memory=memory_in_child, network=network_in_child
        )
        with contextlib.redirect_stdout(sys.stderr):
            found = parts[part](*rest)
        print(json.dumps(found))
        return
    shapes = [SHAPES[number - 1] for number in args.shapes]
    threads = max(args.threads)
    sizes = {'inference': tuple(args.image), 'training step': tuple(args.crop)}
    measures: dict[str, Callable[[], Any]] = {
        'operator': lambda: {
            f'{count} threads': measure_operator(shapes, count, args.repeats, args.slow_repeats)
            for count in args.threads
        },
        'first call': measure_first_call,
        'memory': lambda: measure_memory([s for s in shapes if s in (SHAPES[0], SHAPES[2])], threads, 3),
        'network': lambda: measure_network(sizes, threads, args.slow_repeats, args.variants),
        'cuda': lambda: measure_cuda(shapes, args.repeats) if torch.cuda.is_available() else None,
    }
    results: dict[str, Any] = json.loads(args.out.read_text()) if args.out.exists() else {}
    results['targets'] = TARGETS
    measured = {}
    for section in args.sections:
        measured[section] = measures[section]()
        arguments = {key: value for key, value in vars(args).items() if key not in ('out', 'child')}
        key = 'gpu' if section == 'cuda' else section
        results[key] = measured[section]
        results.setdefault('measured_on', {})[key] = {**describe_machine(), 'arguments': arguments}
        args.out.parent.mkdir(parents=True, exist_ok=True)
        args.out.write_text(json.dumps(results, indent=2) + '\n')
    print_tables(measured)


if __name__ == '__main__':
    main()
