"""Sliding windows: this package's streaming merge against MONAI's on a volume and mmseg's on a fundus photograph.

python benchmarks/sliding_window.py [--cases 'one convolution'] [--repeats 3] [--threads 2]

Every side runs in a fresh process, and the sides of a case take turns. Seconds are those of the whole call; the
network's own are clocked inside it, so that ``over_forwards`` is how much longer than its forwards a call took,
whatever else the machine did. Extra memory is the peak of the resident set less that before the call, which holds the
image and the network. On volumes ours ends with labels, MONAI with scores, whose argmax is left to do; on the
photograph both end with scores.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from machine import describe_machine
from rich.console import Console
from rich.table import Table
from sliding_window_cases import CASES, IDEAL, OURS, run_in_child

from mmseg_medical.ops import slide_memory_bytes, sliding_windows

# The formula counts what is held, not what the C library keeps of freed blocks: here it keeps none, for some time.
FREED_AT_ONCE = {'MALLOC_MMAP_THRESHOLD_': '65536'}
TARGETS = {
    'MONAI': {'time over MONAI, at most': 1.0, 'memory over MONAI, at most': 0.25},
    'mmseg': {'time of the merge, mmseg over ours, at least': 5.0},
    'memory over formula, at most': 1.05,
    'U-Net: over forwards, at most': 0.03,
}


def child(name: str, side: str, threads: int, out: str, environment: dict[str, str] | None = None) -> dict[str, float]:
    """One call in a fresh process, whose last line is JSON."""
    command = [sys.executable, __file__, '--child', json.dumps([name, side, threads, out])]
    done = subprocess.run(
        command, stdout=subprocess.PIPE, text=True, check=True, env={**os.environ, **(environment or {})}
    )
    found = json.loads(done.stdout.splitlines()[-1])
    print(name, side, found, flush=True)
    return found


def measure_case(name: str, repeats: int, threads: int) -> dict[str, Any]:
    """Sides take turns; medians, and what they say about each other."""
    case = CASES[name]
    sides = [side for side in (IDEAL, case['theirs'], OURS) if side is not None]
    runs: dict[str, list[dict[str, float]]] = {side: [] for side in sides}
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(repeats):
            for side in sides:
                runs[side].append(child(name, side, threads, str(Path(folder, f'{side}.npy'))))
        labels = [np.load(path) for side in sides if (path := Path(folder, f'{side}.npy')).exists()]
        figures: dict[str, Any] = {side: _summary(found) for side, found in runs.items()}
        if case['network'] == 'convolution':  # a U-Net's own peak hides the merge
            for side in (IDEAL, OURS):
                found = child(name, side, threads, str(Path(folder, 'again.npy')), FREED_AT_ONCE)
                figures[side]['extra_mb_freed_at_once'] = round(found['extra_mb'], 1)
    figures['windows'] = len(sliding_windows(case['size'], case['window'], case['stride']))
    figures |= _compare(case, figures)
    if len(labels) == 2:
        figures['labels_equal'] = float((labels[0] == labels[1]).mean())
    return figures


def _summary(runs: list[dict[str, float]]) -> dict[str, Any]:
    seconds, forward = ([run[key] for run in runs] for key in ('seconds', 'forward_seconds'))
    outside = [whole - part for whole, part in zip(seconds, forward, strict=True)]
    return {
        'seconds': round(statistics.median(seconds), 3),
        'all_seconds': [round(value, 3) for value in seconds],
        'merge_seconds': round(statistics.median(outside), 3),
        'over_forwards': round(statistics.median(o / f for o, f in zip(outside, forward, strict=True)), 4),
        'extra_mb': round(statistics.median(run['extra_mb'] for run in runs), 1),
    }


def _compare(case: dict[str, Any], figures: dict[str, Any]) -> dict[str, Any]:
    ours, theirs = figures[OURS], case['theirs']
    found = {f'time over {IDEAL}': round(ours['seconds'] / figures[IDEAL]['seconds'], 3)}
    if case['network'] == 'convolution':
        formula = slide_memory_bytes(
            case['size'],
            case['window'],
            num_classes=case['classes'],
            channels=case['channels'],
            batch_size=case['batch_size'],
            weights=case['weights'],
            network_bytes=round(figures[IDEAL]['extra_mb_freed_at_once'] * 1e6),
            **(dict(result_bytes=4 * case['classes'], decide_bytes=0) if theirs == 'mmseg' else {}),
        )
        found['formula_mb'] = round(formula / 1e6, 1)
        found['memory over formula'] = round(ours['extra_mb_freed_at_once'] / found['formula_mb'], 3)
    if theirs is not None:
        found[f'time over {theirs}'] = round(ours['seconds'] / figures[theirs]['seconds'], 3)
        found[f'memory over {theirs}'] = round(ours['extra_mb'] / figures[theirs]['extra_mb'], 3)
        merges = figures[theirs]['merge_seconds'] / ours['merge_seconds']
        found[f'time of the merge, {theirs} over ours'] = round(merges, 2)
    return found


def print_table(cases: dict[str, Any]) -> None:
    table = Table('case', 'side', 's', 's beside forwards', 'extra MB', title='sliding windows')
    for name, figures in cases.items():
        for side, row in figures.items():
            if isinstance(row, dict):
                table.add_row(name, side, *(str(row[key]) for key in ('seconds', 'merge_seconds', 'extra_mb')))
        ratios = ', '.join(f'{key}: {value}' for key, value in figures.items() if ' ' in key and key != IDEAL)
        table.add_row('', ratios, '', '', '')
    Console().print(table)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--cases', nargs='+', choices=list(CASES), default=list(CASES))
    parser.add_argument('--repeats', type=int, default=3)
    parser.add_argument('--threads', type=int, default=2)
    parser.add_argument('--out', type=Path, default=Path(__file__).parent / 'results' / 'sliding_window.json')
    parser.add_argument('--child', type=json.loads, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        name, *rest = arguments.child
        print(json.dumps(run_in_child(CASES[name], *rest)))
        return
    machine = describe_machine()
    machine['packages']['monai'] = version('monai')
    cases = {name: measure_case(name, arguments.repeats, arguments.threads) for name in arguments.cases}
    results = {
        'what': 'seconds and extra resident memory of sliding-window inference, a fresh process a run',
        'arguments': {'repeats': arguments.repeats, 'threads': arguments.threads},
        'definitions': {name: CASES[name] for name in arguments.cases},
        'cases': cases,
        'targets': TARGETS,
        'machine': machine,
    }
    arguments.out.write_text(json.dumps(results, indent=2) + '\n')
    print_table(cases)


if __name__ == '__main__':
    main()
