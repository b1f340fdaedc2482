"""Divide the training cases of a Decathlon task into folds or parts, as the JSON file that split_file reads."""

import argparse
from pathlib import Path
from typing import Any

from mmseg_medical import cli
from mmseg_medical.datasets import MSDDataset
from mmseg_medical.datasets.splits import hold_out, k_folds, rare_unet_split, write_split


def main(arguments: argparse.Namespace) -> None:
    dataset = MSDDataset(arguments.data_root, arguments.task)
    cases = [dataset.get_data_info(i)['case_id'] for i in range(len(dataset))]
    content: dict[str, Any] = {'source': 'train', 'task': dataset.task, 'seed': arguments.seed}
    if arguments.rare_unet:
        content |= {'rule': 'rare_unet', **rare_unet_split(cases, arguments.seed)}
    elif arguments.hold_out:
        content |= {'rule': f'hold out {arguments.hold_out}', **hold_out(cases, arguments.hold_out, arguments.seed)}
    else:
        folds = k_folds(cases, arguments.folds, arguments.seed)
        content |= {'rule': f'{arguments.folds} folds', 'folds': folds}
    for line in write_split(arguments.out, content):
        print(line)
    print(f'written to {arguments.out}')


if __name__ == '__main__':
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('data_root', help='folder of the tasks, or of this one')
    parser.add_argument('--task', default='Task04_Hippocampus', help='default: %(default)s')
    rule = parser.add_mutually_exclusive_group()
    rule.add_argument('--folds', type=int, default=5, help='number of folds (default: %(default)s)')
    rule.add_argument('--hold-out', type=int, metavar='N', help='one division: N cases validate, the rest trains')
    rule.add_argument('--rare-unet', action='store_true', help="the rule of RARE-UNet's authors: train, val, test")
    parser.add_argument('--seed', type=int, default=42, help='of the draw (default: %(default)s)')
    parser.add_argument('--out', type=Path, required=True, help='JSON file to write')
    cli.run(parser, main)
