"""Pixels of each class as JSON, for NALoss and class weights.

python tools/analysis_tools/class_statistics.py idrid data/IDRiD --scale 1440 960 --out idrid_counts.json
python tools/analysis_tools/class_statistics.py ddr data/DDR-dataset --split trainval \
    --field-of-view crop_resize --scale 1280 1280 --out ddr_counts.json
"""

from __future__ import annotations

import argparse
import json
from functools import partial
from pathlib import Path

from rich.console import Console
from rich.progress import track
from rich.table import Table

from mmseg_medical.datasets import DataError, DDRDataset, IDRiDDataset
from mmseg_medical.datasets.class_statistics import class_statistics
from mmseg_medical.datasets.lesions import DEFAULT_OVERLAP_ORDER, LESIONS
from mmseg_medical.datasets.transforms.field_of_view import MODES

DATASETS = {'idrid': IDRiDDataset, 'ddr': DDRDataset}


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('dataset', choices=DATASETS)
    parser.add_argument('data_root')
    parser.add_argument('--split', default='train')
    parser.add_argument('--split-file')
    parser.add_argument('--scale', nargs=2, type=int, metavar=('W', 'H'), help='default: native size')
    parser.add_argument('--field-of-view', choices=MODES, default='none')
    parser.add_argument('--overlap-order', nargs=len(LESIONS), default=DEFAULT_OVERLAP_ORDER, metavar='CODE')
    parser.add_argument('--out', help='JSON file')
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> None:
    """Count, print, write."""
    args = parse_args(argv)
    console = Console(soft_wrap=True)
    try:
        dataset = DATASETS[args.dataset](
            args.data_root, args.split, split_file=args.split_file, overlap_order=args.overlap_order
        )
        found = class_statistics(
            dataset,
            tuple(args.scale) if args.scale else None,
            args.field_of_view,
            track=partial(track, description='counting', console=console),
        )
    except (DataError, ValueError) as error:
        raise SystemExit(f'error: {error}') from error
    table = Table('class', 'pixels', 'share', 'images', title=f'{found["dataset"]}, {found["num_images"]} images')
    for name, count in zip(found['classes'], found['counts'], strict=True):
        images = str(found['images_with_lesion'].get(name, ''))
        table.add_row(name, f'{count:,}', f'{100 * count / sum(found["counts"]):.4f} %', images)
    console.print(table)
    console.print(f'shared by two lesions, native pixels: {found["overlap_pixels"]}')
    if args.out:
        Path(args.out).write_text(json.dumps(found, indent=2) + '\n')
        console.print(f'written: {args.out}')


if __name__ == '__main__':
    main()
