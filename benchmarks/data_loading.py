"""Samples a second on one core: this package's loading of IDRiD against mmseg's own on merged full-size PNG labels.

python benchmarks/data_loading.py --data-root data/IDRiD

Both sides read the same photographs, draw the same scales and windows, and end with a packed sample, as the base
configuration of the data set packs it (labels for testing in uint8; mmseg knows int64 only). The label cache
is warm, as from the second epoch on. Runs of the two sides alternate.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from machine import describe_machine
from mmengine.registry import init_default_scope
from rich.console import Console
from rich.table import Table

from mmseg_medical.datasets import IDRiDDataset
from mmseg_medical.datasets.merged_layout import write_merged
from mmseg_medical.registry import TRANSFORMS

SCALE, RATIOS, CROP = (1440, 960), (0.5, 2.0), (960, 1440)
TARGETS = {'test scale': 4.0, 'training scales': 2.5}
_AFTER_CROP = [dict(type='RandomFlip', prob=0.5), dict(type='PhotoMetricDistortion')]
_THEIR_RESIZE = dict(type='RandomResize', scale=SCALE, ratio_range=RATIOS, keep_ratio=True)
_OUR_RANDOM = [dict(type='LoadFundusImage', scale=SCALE, ratio_range=RATIOS), dict(type='LoadLesionAnnotations')]

# case: (mmseg's pipeline, ours)
PIPELINES: dict[str, tuple[list[dict], list[dict]]] = {
    'test scale': (
        [
            dict(type='LoadImageFromFile'),
            dict(type='Resize', scale=SCALE, keep_ratio=True),
            dict(type='LoadAnnotations'),
            dict(type='PackSegInputs'),
        ],
        [
            dict(type='LoadFundusImage', scale=SCALE),
            dict(type='LoadLesionAnnotations', grid='native'),
            dict(type='PackLesionInputs', label_dtype='uint8'),
        ],
    ),
    'training scales': (
        [dict(type='LoadImageFromFile'), dict(type='LoadAnnotations'), _THEIR_RESIZE, dict(type='PackSegInputs')],
        [*_OUR_RANDOM, dict(type='PackLesionInputs')],
    ),
    'training recipe': (
        [
            dict(type='LoadImageFromFile'),
            dict(type='LoadAnnotations'),
            _THEIR_RESIZE,
            dict(type='RandomCrop', crop_size=CROP, cat_max_ratio=0.75),
            *_AFTER_CROP,
            dict(type='PackSegInputs'),
        ],
        [
            *_OUR_RANDOM,
            dict(type='CountedRandomCrop', crop_size=CROP, cat_max_ratio=0.75),
            *_AFTER_CROP,
            dict(type='PackLesionInputs'),
        ],
    ),
}


def time_side(pipeline: list[dict], entries: list[dict], seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Wall and processor seconds of every sample."""
    transforms = [TRANSFORMS.build(dict(step)) for step in pipeline]
    np.random.seed(seed)  # noqa: NPY002 - the transforms draw from this generator
    times = []
    for entry in entries:
        results = {**entry, 'seg_fields': []}
        wall, cpu = time.perf_counter(), time.process_time()
        for transform in transforms:
            results = transform(results)
        times.append((time.perf_counter() - wall, time.process_time() - cpu))
    walls, cpus = zip(*times, strict=True)
    return np.array(walls), np.array(cpus)


def compare(case: str, theirs: list[dict], ours: list[dict], repeats: int) -> dict[str, Any]:
    """Alternate both sides and summarise in milliseconds a sample."""
    samples: dict[str, list[tuple[np.ndarray, np.ndarray]]] = {'mmseg': [], 'mmseg_medical': []}
    for repeat in range(-1, repeats):  # the first pass warms caches and is thrown away
        for side, entries, pipeline in zip(samples, (theirs, ours), PIPELINES[case], strict=True):
            measured = time_side(pipeline, entries, seed=max(repeat, 0))
            if repeat >= 0:
                samples[side].append(measured)
    report: dict[str, Any] = {}
    for side, measured in samples.items():
        wall, cpu = (np.concatenate(values) * 1e3 for values in zip(*measured, strict=True))
        report[side] = dict(
            median_wall_ms=round(float(np.median(wall)), 2),
            mean_wall_ms=round(float(wall.mean()), 2),
            median_cpu_ms=round(float(np.median(cpu)), 2),
            mean_cpu_ms=round(float(cpu.mean()), 2),
            samples_per_second=round(1e3 / float(wall.mean()), 2),
        )
    for key in ('median_wall_ms', 'mean_wall_ms', 'median_cpu_ms', 'mean_cpu_ms'):
        report[f'ratio_{key.removesuffix("_ms")}'] = round(report['mmseg'][key] / report['mmseg_medical'][key], 2)
    report['target'] = TARGETS.get(case)
    return report


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--data-root', default='data/IDRiD')
    parser.add_argument('--images', type=int, default=12)
    parser.add_argument('--repeats', type=int, default=4)
    parser.add_argument('--out', default='benchmarks/results/data_loading.json')
    return parser.parse_args()


def main() -> None:
    """Measure all cases, print a table, write JSON."""
    args = parse_args()
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    if hasattr(os, 'sched_setaffinity'):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    init_default_scope('mmseg_medical')
    with tempfile.TemporaryDirectory() as folder:
        dataset = IDRiDDataset(args.data_root, indices=args.images, cache_dir=f'{folder}/cache')
        write_merged({'train': dataset}, f'{folder}/merged')
        merged = IDRiDDataset(f'{folder}/merged', layout='merged', cache_dir=None)
        ours = [dataset.get_data_info(index) for index in range(len(dataset))]
        theirs = [merged.get_data_info(index) for index in range(len(merged))]
        cases = {case: compare(case, theirs, ours, args.repeats) for case in PIPELINES}
    report = dict(
        what='milliseconds a sample on one core, decoding to packed sample, warm label cache',
        arguments=vars(args),
        images=len(ours),
        samples_per_case=len(ours) * args.repeats,
        scale=SCALE,
        ratio_range=RATIOS,
        crop_size=CROP,
        cases=cases,
        machine=describe_machine(),
    )
    table = Table('case', 'mmseg, ms', 'ours, ms', 'ratio', 'CPU ratio', 'target')
    for case, found in cases.items():
        table.add_row(
            case,
            f'{found["mmseg"]["mean_wall_ms"]}',
            f'{found["mmseg_medical"]["mean_wall_ms"]}',
            f'{found["ratio_mean_wall"]}',
            f'{found["ratio_mean_cpu"]}',
            '' if found['target'] is None else f'>= {found["target"]}',
        )
    Console().print(table)
    Path(args.out).parent.mkdir(parents=True, exist_ok=True)
    Path(args.out).write_text(json.dumps(report, indent=2) + '\n')


if __name__ == '__main__':
    main()
