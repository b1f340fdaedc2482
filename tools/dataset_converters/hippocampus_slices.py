"""Task04 of the Decathlon to the slices that the original of the 2D hippocampus networks trains from.

    python tools/dataset_converters/hippocampus_slices.py data/MSD data/hippocampus_slices
    python tools/dataset_converters/hippocampus_slices.py data/MSD data/hippocampus_slices --check

To train here nothing is converted: configs/hippocampus/unet2d_*.py read the files of the release.
"""

from __future__ import annotations

import argparse
from functools import partial

from rich.console import Console
from rich.progress import track

from mmseg_medical import cli
from mmseg_medical.datasets import MSDDataset
from mmseg_medical.datasets.hippocampus_layout import AUGMENT, check_slices, write_slices


def main(arguments: argparse.Namespace) -> None:
    console = Console(soft_wrap=True)
    if arguments.check:
        console.print(f'{arguments.dst}: {check_slices(arguments.dst)} slices as listed')
        return
    bar = partial(track, description='converting', console=console)
    dataset = MSDDataset(arguments.src, arguments.task)
    metadata = write_slices(dataset, arguments.dst, arguments.augment, arguments.slices, arguments.seed, bar)
    number, train, both = len(metadata['slices']), metadata['train'], metadata['straddles']
    shared = f'; {both} is in both' if both else ''
    console.print(
        f'{len(dataset)} volumes, {number} slices written to {arguments.dst}: {train} to train, {number - train} to '
        f'validate{shared}'
    )


if __name__ == '__main__':
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('src', help='folder of the tasks, or of this one')
    parser.add_argument('dst', help='folder that gets the slices; with --check, that has them')
    parser.add_argument('--task', default='Task04_Hippocampus')
    parser.add_argument('--augment', choices=AUGMENT, default='train', help="default: train; 'all' as the original")
    parser.add_argument('--slices', type=int, default=15, help='at most so many a volume and plane')
    parser.add_argument('--seed', type=int, default=42)
    parser.add_argument('--check', action='store_true', help='write nothing, compare what is there with its metadata')
    cli.run(parser, main)
