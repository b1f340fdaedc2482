"""Divide the patients of a data set of slices into folds or parts, as the JSON file that split_file reads.

python tools/analysis_tools/make_patient_splits.py ACDCDataset data/ACDC --folds 5 --out folds.json
"""

import argparse
from pathlib import Path
from typing import Any

from mmseg_medical import cli
from mmseg_medical.datasets import SliceDataset
from mmseg_medical.datasets.splits import hold_out, k_folds, write_split
from mmseg_medical.errors import ConfigError, did_you_mean
from mmseg_medical.registry import DATASETS


def main(arguments: argparse.Namespace) -> None:
    dataset = slice_dataset(arguments.dataset)(arguments.data_root, arguments.part, cache_dir=arguments.cache_dir)
    patients = sorted({volume['patient_id'] for volume in dataset.volumes})
    content: dict[str, Any] = {'source': arguments.part, 'dataset': arguments.dataset, 'seed': arguments.seed}
    if arguments.hold_out:
        rule = f'hold out {arguments.hold_out} patients'
        content |= {'rule': rule, **hold_out(patients, arguments.hold_out, arguments.seed)}
    else:
        folds = k_folds(patients, arguments.folds, arguments.seed)
        content |= {'rule': f'{arguments.folds} folds of patients', 'folds': folds}
    for line in write_split(arguments.out, content):
        print(f'{line} patients')
    print(f'written to {arguments.out}')


def slice_dataset(name: str) -> type[SliceDataset]:
    known = {key: kind for key, kind in DATASETS.module_dict.items() if issubclass(kind, SliceDataset)}
    known.pop('MSDSliceDataset', None)  # a case there has no patient: make_splits.py
    if name not in known:
        hint = did_you_mean(name, known)
        raise ConfigError(f'no data set of slices is called {name!r}, but {", ".join(known)}.{hint}')
    return known[name]


if __name__ == '__main__':
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('dataset', help='class: ACDCDataset, MnMsDataset, BraTSDataset, SynapseDataset')
    parser.add_argument('data_root', help='folder of the data set')
    parser.add_argument('--part', default='train', help='part of the release to divide (default: %(default)s)')
    rule = parser.add_mutually_exclusive_group()
    rule.add_argument('--folds', type=int, default=5, help='number of folds (default: %(default)s)')
    rule.add_argument('--hold-out', type=int, metavar='N', help='one division: N patients validate, the rest trains')
    parser.add_argument('--seed', type=int, default=42, help='of the draw (default: %(default)s)')
    parser.add_argument('--cache-dir', help='folder that keeps what is found in label files')
    parser.add_argument('--out', type=Path, required=True, help='JSON file to write')
    cli.run(parser, main)
