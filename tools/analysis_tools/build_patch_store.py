"""Preprocess all cases of a config's data set into its patch store, before training does it case by case.

python tools/analysis_tools/build_patch_store.py CONFIG --jobs 8
python tools/analysis_tools/build_patch_store.py CONFIG --split val --verify
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Iterator
from typing import Any

from rich.console import Console
from rich.progress import track

from mmseg_medical import apis, cli
from mmseg_medical.datasets.patch_store import build_store
from mmseg_medical.datasets.transforms.load_stored_patch import LoadStoredPatch
from mmseg_medical.errors import ConfigError


def main(arguments: argparse.Namespace) -> None:
    cfg = apis.load_config(arguments.config, arguments.cfg_options)
    console = Console(soft_wrap=True)

    def bar(results: Iterable, number: int) -> Iterable:
        return track(results, 'storing', number, console=console)

    found = list(stored_sets(apis.build_dataset(cfg, arguments.split)))
    if not found:
        raise ConfigError(
            f'no pipeline of {arguments.split}_dataloader.dataset has a LoadStoredPatch or LoadSlice, so there is '
            'nothing to store'
        )
    for dataset, step in found:
        # of slices, volumes are stored
        entries = getattr(dataset, 'volumes', None) or [dataset.get_data_info(index) for index in range(len(dataset))]
        report = build_store(entries, step.store, arguments.jobs, arguments.verify, bar)
        console.print(
            f'{step.store.folder}: {report.built} cases built, {report.kept} kept, {report.num_bytes / 2**20:.1f} MiB'
        )


def stored_sets(dataset: Any) -> Iterator[tuple[Any, LoadStoredPatch]]:
    """Find the data sets inside wrappers that load from a store, and the step that does."""
    inner = [dataset.dataset] if hasattr(dataset, 'dataset') else getattr(dataset, 'datasets', None)
    if inner is None:
        steps = getattr(getattr(dataset, 'pipeline', None), 'transforms', ())
        yield from ((dataset, step) for step in steps if isinstance(step, LoadStoredPatch))
    else:
        for one in inner:
            yield from stored_sets(one)


if __name__ == '__main__':
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('config', help='config file')
    parser.add_argument(
        '--split', choices=['train', 'val', 'test'], default='train', help='which data loader (default: %(default)s)'
    )
    parser.add_argument('--jobs', type=int, default=0, help='worker processes; 0 works in this one')
    parser.add_argument(
        '--verify', action='store_true', help='read what is there entirely and build damaged cases again'
    )
    cli.add_common_arguments(parser)
    cli.run(parser, main)
