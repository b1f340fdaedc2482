"""Measure and check a data set of volumes, and propose a U-Net for it.

python tools/analysis_tools/fingerprint.py --data-root data/MSD --task Task04_Hippocampus --jobs 4
python tools/analysis_tools/fingerprint.py CONFIG --split val --out work_dirs/fingerprint

Writes fingerprint.json, pictures, proposed_config.py and, for a Decathlon task, splits.json. Ends with 1 if something
is wrong with a case; all others are measured all the same.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from mmseg_medical import apis, cli
from mmseg_medical.datasets import MSDDataset
from mmseg_medical.datasets.fingerprint import Expected, measure_cases, propose, summarise
from mmseg_medical.datasets.fingerprint.config_text import config_text
from mmseg_medical.datasets.splits import k_folds
from mmseg_medical.datasets.transforms import LoadVolumeAnnotations
from mmseg_medical.errors import ConfigError
from mmseg_medical.files import atomic_write
from mmseg_medical.visualization.fingerprint_figures import fingerprint_figures

CONFIGS = Path(__file__).resolve().parents[2] / 'configs'
_MOST_SHOWN = 20


def main(arguments: argparse.Namespace) -> None:
    if (arguments.config is None) == (arguments.data_root is None):
        raise ConfigError('give a config file or --data-root, and not both')
    if not arguments.memory_gib > 0:
        raise ConfigError(f'--memory-gib must be positive, found {arguments.memory_gib:g}')
    cfg = None if arguments.config is None else apis.load_config(arguments.config, arguments.cfg_options)
    dataset = (
        MSDDataset(arguments.data_root, arguments.task) if cfg is None else apis.build_dataset(cfg, arguments.split)
    )
    name = arguments.task if cfg is None else Path(arguments.config).stem
    out = Path(arguments.out or Path('work_dirs') / 'fingerprint' / name)
    entries = [dataset.get_data_info(index) for index in range(len(dataset))]
    expected = expectations(dataset, entries)
    console = Console(soft_wrap=True)
    with Progress(console=console) as progress:
        bar = progress.add_task('measuring', total=len(entries))
        records, failures = measure_cases(entries, expected, arguments.jobs, lambda: progress.advance(bar))
    found = summarise(records, failures, expected, getattr(dataset, 'description', name))
    files = {}
    if records:
        num_classes = len(expected.classes)
        found['proposal'] = proposal = propose(found, arguments.memory_gib, num_classes)
        if cfg is None:
            train, val, files['splits.json'] = decathlon_parts(arguments, [entry['case_id'] for entry in entries])
        else:
            train, val = config_parts(cfg, 'train'), config_parts(cfg, 'val')
        files['proposed_config.py'] = config_text(
            found, proposal, num_classes, bases(out), train, val, None if cfg is None else expected.label_map
        )
        for figure, picture in fingerprint_figures(found).items():
            files[f'{figure}.png'] = picture
    files['fingerprint.json'] = json.dumps(found, indent=1) + '\n'
    for file, content in files.items():
        with atomic_write(out / file, 'wb' if isinstance(content, bytes) else 'w') as opened:
            opened.write(content)
    report(console, found)
    console.print(f'written to {out}: {", ".join(sorted(files))}')
    if found['problems']:
        sys.exit(1)


def expectations(dataset: Any, entries: list[dict[str, Any]]) -> Expected:
    if not entries or 'img_path' not in entries[0] or 'lesion_masks' in entries[0]:
        raise ConfigError(
            f'{type(dataset).__name__} is no data set of volumes with cases: its entries name no img_path'
        )
    steps = getattr(getattr(dataset, 'pipeline', None), 'transforms', ())
    load = next((step for step in steps if isinstance(step, LoadVolumeAnnotations)), None)
    label_map = entries[0].get('label_map') if load is None or load.label_map is None else load.label_map
    classes = dataset.metainfo['classes']
    if load is not None and load.regions is not None:  # the classes are masks made of labels
        labels = range(1, 1 + max(label for region in load.regions for label in region))
        classes = ('background', *(f'label {label}' for label in labels))
    return Expected(tuple(classes), tuple(entries[0].get('modalities', ())), label_map)


def decathlon_parts(arguments: argparse.Namespace, cases: list[str]) -> tuple[dict, dict, str]:
    """Five folds over the cases (fewer of fewer cases), and the data sets of the first."""
    shared = dict(type='MSDDataset', data_root=str(Path(arguments.data_root).absolute()), task=arguments.task)
    if len(cases) < 2:
        return {**shared, 'split': 'train'}, {**shared, 'split': 'train'}, '{}\n'
    folds = k_folds(cases, min(5, len(cases)))
    text = json.dumps({'source': 'train', 'task': arguments.task, 'seed': 42, 'folds': folds}, indent=1)
    shared |= dict(split_file='{{ fileDirname }}/splits.json', fold=0)
    return {**shared, 'split': 'train'}, {**shared, 'split': 'val'}, text + '\n'


def config_parts(cfg: Any, split: str) -> dict[str, Any]:
    loader = cfg.get(f'{split}_dataloader') or cfg.train_dataloader
    return {key: value for key, value in loader.dataset.to_dict().items() if key != 'pipeline'}


def bases(out: Path) -> list[str]:
    return [
        Path(os.path.relpath(CONFIGS / '_base_' / name, out.absolute())).as_posix()
        for name in ('models/unet3d.py', 'schedules/volumes_50k.py', 'default_runtime.py')
    ]


def report(console: Console, found: dict[str, Any]) -> None:
    title = f'{found["dataset"]}: {found["num_measured"]} of {found["num_cases"]} cases measured'
    if 'cases' in found:
        table = Table('', 'smallest', 'median', 'largest', title=title)
        for key, text in (('size_ras', 'size in voxels'), ('spacing_ras_mm', 'spacing in mm')):
            if found[key] is not None:
                table.add_row(text, *(axes(found[key][which]) for which in ('min', 'median', 'max')))
        for name, one in found['classes'].items():
            described, unit = (one['volume_mm3'], 'mm³') if one['volume_mm3'] else (one['voxels'], 'voxels')
            if described:
                numbers = [f'{described[which]:,.0f}' for which in ('min', 'median', 'max')]
                table.add_row(f'{name} in {unit}, {one["num_cases"]} cases', *numbers)
        console.print(table)
        kept = ('spacing_mm', 'patch_size', 'batch_size', 'num_levels', 'inference', 'estimated_gib')
        console.print('proposed: ' + ', '.join(f'{key} {found["proposal"][key]}' for key in kept))
    else:
        console.print(title)
    for kind, color in (('note', 'yellow'), ('problem', 'red')):
        listed = found[f'{kind}s']
        if listed:
            console.print(f'[{color}]{len(listed)} {kind}{"s" if len(listed) > 1 else ""}[/]')
        for one in listed[:_MOST_SHOWN]:
            console.print(f'{one["case"]}: {one[kind]}', markup=False)
        if len(listed) > _MOST_SHOWN:
            console.print(f'... and {len(listed) - _MOST_SHOWN} more in fingerprint.json')


def axes(values: list[float]) -> str:
    return ' x '.join(f'{value:g}' for value in values)


if __name__ == '__main__':
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('config', nargs='?', help='config file with a data set of volumes')
    parser.add_argument('--split', choices=['train', 'val', 'test'], default='train', help='which data loader of it')
    parser.add_argument('--data-root', help="instead of a config: folder of the Decathlon's tasks, or of one")
    parser.add_argument('--task', default='Task04_Hippocampus', help='default: %(default)s')
    parser.add_argument('--out', metavar='DIR', help='default: work_dirs/fingerprint/<task or config>')
    parser.add_argument('--jobs', type=int, default=1, help='processes (default: %(default)s)')
    parser.add_argument(
        '--memory-gib', type=float, default=8.0, help='of the device that trains (default: %(default)s)'
    )
    cli.add_common_arguments(parser)
    cli.run(parser, main)
