"""3D-Res2UNet: ours against the same network in the plain formulation, a training step and a scan of 300 slices.

python benchmarks/res2unet3d.py [--sections 'training step' scan] [--variants plain 'ours: bf16, channels last']

``plain`` is the network as it was published, in single precision and contiguous, with its loss and MONAI's sliding
window, which keeps scores of the whole scan; ``equal plain`` is the same in the precision and layout of ours. All have
the same weights. Every variant runs in a fresh process. Memory is the peak of the resident set less that before the
work, which holds image, network and a first call on one window. ``check``, the first loss or the share of voxels found,
says whether variants compute the same.
"""

from __future__ import annotations

import argparse
import json
import logging
import statistics
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

from machine import describe_machine
from res2unet3d_cases import CHECKPOINTED, OURS, PLAIN, PLAIN_EQUAL, VARIANTS, WINDOW, run_in_child
from rich.console import Console
from rich.table import Table

SECTIONS = ('training step', 'scan')
TARGETS = {'time over plain, below': 1.0, 'memory over plain, at most': 0.25}


def child(section: str, name: str, arguments: argparse.Namespace) -> dict[str, Any]:
    """One variant in a fresh process, whose last line is JSON."""
    size = arguments.patch if section == 'training step' else arguments.scan
    words = [section, name, arguments.threads, size, arguments.calls, arguments.overlap]
    command = [sys.executable, __file__, '--child', json.dumps(words)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    found = json.loads(done.stdout.splitlines()[-1])
    for kind in ('seconds', 'cpu_seconds'):
        found[kind] = round(statistics.median(found[f'all_{kind}']), 3)
    print(section, name, found, flush=True)
    return found


def measure(section: str, arguments: argparse.Namespace) -> dict[str, Any]:
    """All variants of a section, and what they say about the plain one."""
    names = [name for name in VARIANTS if name in arguments.variants]
    if section == 'scan' and OURS in names:
        names = [name for name in names if name != CHECKPOINTED]
    figures = {name: child(section, name, arguments) for name in names}
    plain = figures.get(PLAIN)
    for found in figures.values() if plain else ():
        found['time over plain'] = round(found['seconds'] / plain['seconds'], 3)
        found['memory over plain'] = round(found['extra_mb'] / plain['extra_mb'], 3)
    for name, found in figures.items():
        equal = figures.get(equal_plain(name))
        if equal and VARIANTS[name].ours:
            found['time over equal plain'] = round(found['seconds'] / equal['seconds'], 3)
            found['memory over equal plain'] = round(found['extra_mb'] / equal['extra_mb'], 3)
    return figures


def equal_plain(name: str) -> str | None:
    """The plain variant of the same precision and layout."""
    wanted = VARIANTS[name]._replace(ours=False, compiled=False, checkpointed=False)
    return next((key for key, variant in VARIANTS.items() if variant == wanted), None)


def print_table(sections: dict[str, Any]) -> None:
    """The figures of all sections."""
    ratios = [f'{what} over {side}' for side in ('plain', 'equal plain') for what in ('time', 'memory')]
    columns = ('seconds', 'cpu_seconds', 'extra_mb', *ratios, 'check')
    table = Table('section', 'variant', *columns, title='3D-Res2UNet')
    for section, figures in sections.items():
        for name, row in figures.items():
            table.add_row(section, name, *(str(row.get(key, '')) for key in columns))
    Console().print(table)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--sections', nargs='+', choices=SECTIONS, default=list(SECTIONS))
    parser.add_argument(
        '--variants', nargs='+', choices=list(VARIANTS), default=[PLAIN, PLAIN_EQUAL, 'ours', OURS, CHECKPOINTED]
    )
    parser.add_argument('--threads', type=int, default=2)
    parser.add_argument('--calls', type=int, default=2, help='training steps that count, after a first one')
    parser.add_argument('--patch', type=int, nargs=3, default=WINDOW, help='of the training step, one sample')
    parser.add_argument('--scan', type=int, nargs=3, default=(300, 512, 512))
    parser.add_argument('--overlap', type=float, default=0.0, help='of windows; 0.5 takes five times as long')
    parser.add_argument('--out', type=Path, default=Path(__file__).parent / 'results' / 'res2unet3d.json')
    parser.add_argument('--child', type=json.loads, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        logging.disable(logging.INFO)
        print(json.dumps(run_in_child(*arguments.child)))
        return
    machine = describe_machine()
    machine['packages']['monai'] = version('monai')
    sections = {section: measure(section, arguments) for section in arguments.sections}
    settings = {key: getattr(arguments, key) for key in ('threads', 'calls', 'patch', 'scan', 'overlap')}
    results = {
        'what': 'seconds and extra resident memory of a training step and of a scan, a fresh process a variant',
        'arguments': settings,
        'variants': {name: VARIANTS[name]._asdict() for name in arguments.variants},
        'sections': sections,
        'targets': TARGETS,
        'machine': machine,
    }
    arguments.out.write_text(json.dumps(results, indent=2) + '\n')
    print_table(sections)


if __name__ == '__main__':
    main()
