"""HDC-HRNet and every block of its library against the formulation of the specification: time, memory, modes.

    python benchmarks/networks.py [--sections networks blocks memory modes] [--threads 2] [--repeats 5]
    python benchmarks/networks.py --sections networks --stems full --full hrnet_dcn_small --slow hrnet_dcn_small
    python benchmarks/networks.py --quick --out networks.json
    python benchmarks/networks.py --device cuda

The specification's formulation shares the parameters of ours; before anything is timed, logits, loss and gradients of
both are compared in float64 (relative difference below 1e-9). A training step is forward, loss with deep supervision,
backward and AdamW; a block's is forward and backward. Every repeat runs all sides in turn; figures are medians.
mmcv's operator takes a minute and more a step at full resolution: there it runs only for ``--slow``.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from machine import describe_machine
from networks_cases import MMCV, OURS, SIDES, TORCH, Case
from networks_modes import MODES, measure_memory, measure_modes, memory_in_child
from networks_reference_blocks import REFERENCE_BLOCKS
from networks_sections import measure_blocks, measure_networks
from networks_tables import print_tables

SECTIONS = ('networks', 'blocks', 'memory', 'modes')
CONFIGS = ('hrnet_dcn_small', 'hrnet_dcn_base', 'hrnet_dcn_large')
STEMS = ('standard', 'full')
# Of the issue. Measurements of the same computation differ by some percent.
TARGETS = {'training step, mmcv operator over ours, at least': 5.0, 'specification over ours, at least': 1.0}
Plan = list[tuple[Case, list[str]]]


def network_plan(args: argparse.Namespace) -> Plan:
    """Every configuration with the standard stem, some with the full one; mmcv's operator there only if asked for."""
    plan: Plan = []
    for stem in args.stems:
        for config in args.configs if stem == 'standard' else args.full:
            case = Case(config, stem, args.size, args.batch, args.base_channels)
            slow = stem == 'standard' or config in args.slow
            plan.append((case, [OURS, TORCH, MMCV] if slow else [OURS, TORCH]))
    return plan


def memory_plan(args: argparse.Namespace) -> Plan:
    """As :func:`network_plan`, with checkpointing beside."""
    sides = [OURS, TORCH] if args.quick else [OURS, 'ours, checkpointed', TORCH, MMCV]
    return [
        (case, [name for name in sides if name != MMCV or MMCV in names])
        for case, names in network_plan(args)
        if case.config in args.memory
    ]


def block_shapes(args: argparse.Namespace) -> list[tuple[int, int, int, int]]:
    """The finest stream of each stem, and the third one."""
    c, fine = args.base_channels or 48, args.size // 4
    shapes = [(args.batch, c, fine, fine), (args.batch, 4 * c, fine // 4, fine // 4)]
    return [*shapes, (args.batch, c, args.size, args.size)] if 'full' in args.stems else shapes


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--sections', nargs='+', choices=SECTIONS, default=SECTIONS)
    parser.add_argument('--configs', nargs='+', choices=CONFIGS, default=CONFIGS)
    parser.add_argument('--stems', nargs='+', choices=STEMS, default=STEMS)
    parser.add_argument(
        '--slow', nargs='*', choices=CONFIGS, default=[], help="with mmcv's operator at full resolution"
    )
    parser.add_argument('--full', nargs='+', choices=CONFIGS, default=['hrnet_dcn_base'], help='with the full stem')
    parser.add_argument('--memory', nargs='+', choices=CONFIGS, default=['hrnet_dcn_base'], help='whose memory')
    parser.add_argument('--modes', nargs='+', choices=CONFIGS, default=['hrnet_dcn_small'], help='whose modes')
    parser.add_argument('--mode-stems', nargs='+', choices=STEMS, default=['standard'])
    parser.add_argument('--blocks', nargs='+', choices=REFERENCE_BLOCKS, default=list(REFERENCE_BLOCKS))
    parser.add_argument('--size', type=int, default=224, help='side of the image in pixels')
    parser.add_argument('--batch', type=int, default=1)
    parser.add_argument('--base-channels', type=int, help="None: the configuration's own")
    parser.add_argument('--threads', type=int, default=2)
    parser.add_argument('--repeats', type=int, default=5)
    parser.add_argument('--full-repeats', type=int, default=2, help='of networks with the full stem')
    parser.add_argument('--block-repeats', type=int, default=11)
    parser.add_argument('--slow-repeats', type=int, default=1, help="of mmcv's operator")
    parser.add_argument('--device', choices=('cpu', 'cuda'), default='cpu', help='cuda has not been run yet')
    parser.add_argument('--quick', action='store_true', help='one small case of everything, to see that it runs')
    parser.add_argument('--out', type=Path, default=Path(__file__).parent / 'results' / 'networks.json')
    parser.add_argument('--child', type=json.loads, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.quick:
        small = dict(configs=CONFIGS[1:2], stems=('standard',), base_channels=8, size=64, threads=1)
        vars(args).update(small, repeats=1, block_repeats=1, modes=CONFIGS[:1])
    return args


def main() -> None:
    """Measure the sections asked for; other cases that the file holds stay, with the machine they were measured on."""
    args = parse_args()
    if args.child:
        part, *rest = args.child
        parts: dict[str, Callable[..., Any]] = dict(memory=memory_in_child)
        with contextlib.redirect_stdout(sys.stderr):
            found = parts[part](*rest)
        print(json.dumps(found))
        return
    torch.set_num_threads(args.threads)
    mode_cases = [Case(c, s, args.size, args.batch, args.base_channels) for c in args.modes for s in args.mode_stems]
    repeats = dict(standard=args.repeats, full=args.full_repeats)
    measures: dict[str, Callable[[], Any]] = {
        'networks': lambda: measure_networks(network_plan(args), repeats, args.slow_repeats, args.device),
        'blocks': lambda: measure_blocks(block_shapes(args), args.blocks, args.block_repeats, args.device),
        'memory': lambda: measure_memory(memory_plan(args), args.threads, args.device),
        'modes': lambda: measure_modes(mode_cases, MODES[:2] if args.quick else MODES, args.repeats, args.device),
    }
    results: dict[str, Any] = json.loads(args.out.read_text()) if args.out.exists() else {}
    results |= {'targets': TARGETS, 'sides': {name: side._asdict() for name, side in SIDES.items()}}
    measured = {}
    for section in args.sections:
        key = section if args.device == 'cpu' else f'{section}, cuda'
        measured[key] = measures[section]()
        results[key] = {**results.get(key, {}), **measured[key]}
        arguments = {name: value for name, value in vars(args).items() if name not in ('out', 'child')}
        machines = results.setdefault('measured_on', {}).setdefault(key, {})
        machine = {**describe_machine(), 'arguments': arguments}
        machines |= dict.fromkeys(measured[key], machine)
        args.out.parent.mkdir(parents=True, exist_ok=True)
        args.out.write_text(json.dumps(results, indent=2) + '\n')
    print_tables(measured)


if __name__ == '__main__':
    main()
