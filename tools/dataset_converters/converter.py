"""Command line that the converters share."""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from functools import partial

from rich.console import Console
from rich.progress import track

from mmseg_medical.datasets import DataError, FundusLesionDataset
from mmseg_medical.datasets.lesions import DEFAULT_OVERLAP_ORDER, LESIONS
from mmseg_medical.datasets.merged_layout import write_merged
from mmseg_medical.datasets.transforms.field_of_view import MODES


def parse_args(description: str, default_mode: str, argv: list[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=description)
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
    parser.add_argument('--enhance', action='store_const', const='crop_resize_enhance', dest='preprocess')
    parser.add_argument('--size', nargs=2, type=int, default=(1280, 1280), metavar=('W', 'H'))
    return parser.parse_args(argv)


def convert(
    dataset: type[FundusLesionDataset], parts: Iterable[str], default_mode: str = 'none', argv: list[str] | None = None
) -> None:
    """Convert, and say what overlaps cost."""
    args = parse_args(f'{dataset.__name__}: official tree to merged label maps.', default_mode, argv)
    console = Console(soft_wrap=True)
    try:
        read = partial(dataset, args.src, layout='official', overlap_order=args.overlap_order, cache_dir=None)
        report = write_merged(
            {part: read(part) for part in parts},
            args.dst,
            field_of_view=args.preprocess,
            size=tuple(args.size),
            track=partial(track, description='converting', console=console),
        )
    except (DataError, ValueError) as error:
        raise SystemExit(f'error: {error}') from error
    console.print(f'{report["num_images"]} images written to {args.dst}')
    console.print(f'pixels of each lesion: {report["lesion_pixels"]}')
    console.print(f'pixels that two lesions share: {report["overlap_pixels"]}; the later of {args.overlap_order} wins')
