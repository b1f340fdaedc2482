"""Count the pixels of each class in a data set of a config, for NALoss(class_counts=...) and class weights.

python tools/analysis_tools/class_statistics.py configs/hacdr/idrid.py --scale 1440 960 --out idrid_counts.json
python tools/analysis_tools/class_statistics.py configs/hacdr/ddr.py --field-of-view crop_resize --scale 1280 1280 \
    --cfg-options data_root=/data/DDR train_dataloader.dataset.split=train --out ddr_counts.json
"""

from __future__ import annotations

import argparse
import json
import tempfile
from functools import partial
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import track
from rich.table import Table

from mmseg_medical import apis, cli
from mmseg_medical.datasets import FundusLesionDataset
from mmseg_medical.datasets.class_statistics import class_statistics
from mmseg_medical.datasets.transforms.field_of_view import MODES
from mmseg_medical.errors import ConfigError
from mmseg_medical.files import atomic_write


def main(arguments: argparse.Namespace) -> None:
    if arguments.out:
        check_writable(Path(arguments.out))  # before minutes of counting
    cfg = apis.load_config(arguments.config, arguments.cfg_options)
    dataset = apis.build_dataset(cfg, arguments.split)
    if not isinstance(dataset, FundusLesionDataset):
        raise ConfigError(
            f'{arguments.split}_dataloader.dataset is a {type(dataset).__name__}; only a FundusLesionDataset (IDRiD, '
            f'DDR or a sub-class of your own) says where its masks are'
        )
    console = Console(soft_wrap=True)
    found = class_statistics(
        dataset,
        tuple(arguments.scale) if arguments.scale else None,
        arguments.field_of_view,
        track=partial(track, description='counting', console=console),
    )
    console.print(as_table(found))
    console.print(f'shared by two lesions, native pixels: {found["overlap_pixels"]}')
    if arguments.out:
        with atomic_write(arguments.out) as file:
            file.write(json.dumps(found, indent=2) + '\n')
        console.print(f'written: {arguments.out}')


def check_writable(path: Path) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path.parent):
            pass
    except OSError as error:
        raise ConfigError(f'--out {path} cannot be written ({error.strerror})') from error
    if path.is_dir():
        raise ConfigError(f'--out {path} is a folder: name a file')


def as_table(found: dict[str, Any]) -> Table:
    table = Table('class', 'pixels', 'share', 'images', title=f'{found["dataset"]}, {found["num_images"]} images')
    for name, count in zip(found['classes'], found['counts'], strict=True):
        images = str(found['images_with_lesion'].get(name, ''))
        table.add_row(name, f'{count:,}', f'{100 * count / sum(found["counts"]):.4f} %', images)
    return table


if __name__ == '__main__':
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('config', help='config file')
    parser.add_argument(
        '--split', choices=['train', 'val', 'test'], default='train', help='which data loader (default: %(default)s)'
    )
    parser.add_argument('--scale', nargs=2, type=int, metavar=('W', 'H'), help='default: native size')
    parser.add_argument(
        '--field-of-view', choices=MODES, default='none', help='as FieldOfView prepares it (default: %(default)s)'
    )
    parser.add_argument('--out', metavar='FILE', help='JSON file to write')
    cli.add_common_arguments(parser)
    cli.run(parser, main)
