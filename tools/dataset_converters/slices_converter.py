"""Command line that the converters of slice data sets share."""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import track

from mmseg_medical import cli
from mmseg_medical.datasets import SliceDataset
from mmseg_medical.datasets.preprocessed_layout import SIZE, check_preprocessed, write_preprocessed


def convert(dataset: type[SliceDataset], name: str, normalize: dict[str, Any]) -> None:
    """Run the command line of one data set; ``normalize`` is what the release does to intensities."""
    parser = argparse.ArgumentParser(
        description=f'{dataset.__name__}: official tree to the layout of HDC-HRNet, {name}/<part>/volumes and masks.'
    )
    parser.add_argument('src', help='folder of the official release')
    parser.add_argument('dst', type=Path, help=f'folder that gets {name}; with --check, that has it')
    parser.add_argument('--parts', nargs='+', choices=dataset.SPLITS, default=['train'], help='default: train')
    parser.add_argument('--size', nargs=2, type=int, default=SIZE, metavar=('H', 'W'), help='default: 224 224')
    parser.add_argument('--jobs', type=int, default=0, help='worker processes; 0 works in this one')
    parser.add_argument('--check', action='store_true', help='write nothing, compare what is there with its metadata')
    parser.add_argument('--modalities', nargs='+', help='of BraTS: channels, e.g. t1ce t2 flair')
    cli.run(parser, partial(_convert, dataset, name, normalize))


def _convert(dataset: type[SliceDataset], name: str, normalize: dict[str, Any], arguments: argparse.Namespace) -> None:
    console = Console(soft_wrap=True)

    def bar(results: Iterable, number: int) -> Iterable:
        return track(results, 'converting', number, console=console)

    options = {'modalities': arguments.modalities} if arguments.modalities else {}
    for part in arguments.parts:
        folder = arguments.dst / name / part
        if arguments.check:
            number = check_preprocessed(folder, partial(track, description='checking', console=console))
            console.print(f'{folder}: {number} volumes as listed')
            continue
        found = dataset(arguments.src, part, **options)
        metadata = write_preprocessed(found, folder, normalize, name, arguments.size, arguments.jobs, bar)
        slices = sum(one['num_slices'] for one in metadata['volume_info'].values())
        console.print(f'{metadata["total_volumes"]} volumes, {slices} slices written to {folder}')
