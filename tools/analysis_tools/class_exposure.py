"""Draw training samples of a config and show how much of each class they contain.

python tools/analysis_tools/class_exposure.py configs/unet/hippocampus.py --samples 300
"""

from __future__ import annotations

import argparse
import json
from functools import partial
from typing import Any

from rich.console import Console
from rich.progress import track
from rich.table import Table

from mmseg_medical import apis, cli
from mmseg_medical.errors import ConfigError
from mmseg_medical.files import atomic_write


def main(arguments: argparse.Namespace) -> None:
    from mmseg_medical.datasets.class_exposure import class_exposure

    if arguments.samples < 1:
        raise ConfigError(f'--samples must be positive, found {arguments.samples}')
    cfg = apis.load_config(arguments.config, arguments.cfg_options)
    dataset = apis.build_dataset(cfg, arguments.split)
    seed = cfg.get('randomness', {}).get('seed') or 0
    console = Console(soft_wrap=True)
    progress = partial(track, description='drawing', console=console)
    found = class_exposure(dataset, arguments.samples, seed, progress)
    console.print(as_table(found))
    console.print(f'drawn anywhere: {found["asked_for_none"]} of {found["samples"]}')
    if arguments.out:
        with atomic_write(arguments.out) as file:
            file.write(json.dumps(found, indent=2) + '\n')
        console.print(f'written: {arguments.out}')


def as_table(found: dict[str, Any]) -> Table:
    number, total = found['samples'], sum(found['voxels']) + found['ignored']
    table = Table('class', 'asked for', 'shown in', 'voxels', title=f'{number} samples of {found["cases"]} cases')
    rows = zip(found['classes'], found['asked'], found['shown'], found['voxels'], strict=True)
    for name, asked, shown, voxels in rows:
        table.add_row(
            name, f'{100 * asked / number:.1f} %', f'{100 * shown / number:.1f} %', f'{100 * voxels / total:.3f} %'
        )
    return table


if __name__ == '__main__':
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('config', help='config file')
    parser.add_argument(
        '--split', choices=['train', 'val', 'test'], default='train', help='which data loader (default: %(default)s)'
    )
    parser.add_argument('--samples', type=int, default=200, help='how many (default: %(default)s)')
    parser.add_argument('--out', metavar='FILE', help='JSON file to write')
    cli.add_common_arguments(parser)
    cli.run(parser, main)
