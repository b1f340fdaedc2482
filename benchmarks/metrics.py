"""Cost of the metrics beside mmseg, MONAI, surface-distance and scikit-learn.

    python benchmarks/metrics.py [--sections counts surfaces conventions] [--out benchmarks/results/metrics.json]

Sections that are not measured stay as they are in the file. Needs requirements/test.txt.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import metrics_conventions
import metrics_counts
import metrics_surfaces
import torch
from machine import describe_machine

SECTIONS: dict[str, Callable[[int], dict]] = {
    'counts': metrics_counts.run,
    'surfaces': metrics_surfaces.run,
    'conventions': metrics_conventions.run,
}
RESULTS = Path(__file__).parent / 'results' / 'metrics.json'


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--sections', nargs='+', choices=list(SECTIONS), default=list(SECTIONS))
    parser.add_argument('--repeats', type=int, default=3, help='of the slow ones; fast ones are repeated more often')
    parser.add_argument('--threads', type=int, default=2)
    parser.add_argument('--out', type=Path, default=RESULTS)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    results = json.loads(arguments.out.read_text()) if arguments.out.exists() else {}
    for name in arguments.sections:
        packages = {package: version(package) for package in ('monai', 'surface-distance', 'scipy', 'scikit-learn')}
        measured = SECTIONS[name](arguments.repeats)
        machine = {**describe_machine(), 'threads': arguments.threads}
        results[name] = {**measured, 'machine': {**machine, 'packages': {**machine['packages'], **packages}}}
        print(json.dumps({name: measured}, indent=2))
        arguments.out.parent.mkdir(parents=True, exist_ok=True)
        arguments.out.write_text(json.dumps(results, indent=2) + '\n')


if __name__ == '__main__':
    main()
