"""Command line that the converters share."""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from functools import partial

from rich.console import Console
from rich.progress import track

from mmseg_medical import cli
from mmseg_medical.datasets import FundusLesionDataset
from mmseg_medical.datasets.lesions import DEFAULT_OVERLAP_ORDER, LESIONS
from mmseg_medical.datasets.merged_layout import write_merged
from mmseg_medical.datasets.transforms.field_of_view import MODES


def convert(dataset: type[FundusLesionDataset], parts: Iterable[str], default_mode: str = 'none') -> None:
    """Run the command line of one data set."""
    parser = argparse.ArgumentParser(description=f'{dataset.__name__}: official tree to merged label maps.')
    parser.add_argument('src', help='folder of the official release')
    parser.add_argument('dst', help='folder to be written; must not hold anything yet')
    parser.add_argument(
        '--overlap-order',
        nargs=len(LESIONS),
        default=DEFAULT_OVERLAP_ORDER,
        metavar='CODE',
        help='order in which lesions are painted, the last one survives (default: %(default)s)',
    )
    parser.add_argument(
        '--preprocess',
        choices=MODES,
        default=default_mode,
        help='preparation of the photographs (default: %(default)s)',
    )
    parser.add_argument('--size', nargs=2, type=int, default=(1280, 1280), metavar=('W', 'H'))
    cli.run(parser, partial(_convert, dataset, tuple(parts)))


def _convert(dataset: type[FundusLesionDataset], parts: Iterable[str], arguments: argparse.Namespace) -> None:
    """Convert, and say what overlaps cost."""
    console = Console(soft_wrap=True)
    read = partial(dataset, arguments.src, layout='official', overlap_order=arguments.overlap_order, cache_dir=None)
    report = write_merged(
        {part: read(part) for part in parts},
        arguments.dst,
        field_of_view=arguments.preprocess,
        size=tuple(arguments.size),
        track=partial(track, description='converting', console=console),
    )
    order = ', '.join(arguments.overlap_order)
    console.print(f'{report["num_images"]} images written to {arguments.dst}')
    console.print(f'pixels of each lesion: {report["lesion_pixels"]}')
    console.print(f'pixels that two lesions share: {report["overlap_pixels"]}; the later of {order} wins')
