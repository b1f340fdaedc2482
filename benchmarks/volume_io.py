"""Volumes from file to tensor against TorchIO's chain, and patches from the store against other ways to read them.

python benchmarks/volume_io.py --data-root data/Task04_Hippocampus

Preprocessing: image and label from .nii.gz, axes turned to RAS, resampled to 1 mm (linear; nearest), centred crop or
pad, clipped to the 0.5 and 99.5 percentiles and rescaled to [0, 1], as tensors. Real volumes have 1 mm, so that
nothing is resampled; phantoms of about 0.8 x 0.8 x 3 mm, whose slices we take apart (nearest slice), and of about
0.8 x 0.8 x 2 mm, where both interpolate along all axes, in changing orientations, are. One process on one core, same
order, warm file cache, runs of the two sides alternate; medians over the runs.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from machine import describe_machine
from mmengine.registry import init_default_scope
from rich.console import Console
from rich.table import Table
from volume_io_patches import compare_patches, loader_share
from volume_io_phantoms import write_phantoms

from mmseg_medical.geometry import read_volume, reorient
from mmseg_medical.registry import TRANSFORMS

TARGET, TOLERANCE = 3.0, 1e-5
REAL, LINEAR = 'real, nothing to resample', 'phantoms, 2 mm slices'
PERCENTILES = (0.5, 99.5)
PACKAGES = ('torchio', 'simpleitk', 'nibabel', 'scipy', 'blosc2')
Pair = tuple[torch.Tensor, torch.Tensor]
Cases = list[tuple[Path, Path]]


def our_chain(size: tuple[int, ...]) -> Callable[[Path, Path], Pair]:
    """The steps of specification 4.2 as this package's transforms."""
    steps = [
        TRANSFORMS.build(step)
        for step in (
            dict(type='LoadVolume'),
            dict(type='LoadVolumeAnnotations'),
            dict(type='ReorientVolume', axes='RAS'),
            dict(type='ResampleVolume', spacing_mm=(1.0, 1.0, 1.0)),
            dict(type='CropOrPadVolume', size=size),
            dict(type='NormalizeIntensity', mode='percentile', percentiles=PERCENTILES, pooled=True),
            dict(type='PackVolumeInputs'),
        )
    ]

    def run(image: Path, label: Path) -> Pair:
        results: dict[str, Any] = dict(img_path=str(image), seg_map_path=str(label), case_id=image.name)
        for step in steps:
            results = step(results)
        return results['inputs'], results['data_samples'].gt_sem_seg.data

    return run


def their_chain(size: tuple[int, ...], as_float: bool = False) -> Callable[[Path, Path], Pair]:
    """The same steps as TorchIO has them, from the file's own type or from float32."""
    import torchio

    steps = torchio.Compose(
        [
            torchio.ToCanonical(),
            torchio.Resample(1),
            torchio.CropOrPad(size),
            torchio.RescaleIntensity((0, 1), percentiles=PERCENTILES),
        ]
    )

    def run(image: Path, label: Path) -> Pair:
        scan = torchio.ScalarImage(image)
        if as_float:
            scan.set_data(scan.data.float())
        subject = steps(torchio.Subject(image=scan, label=torchio.LabelMap(label)))
        return subject.image.data, subject.label.data

    return run


def gunzip(image: Path, label: Path) -> None:
    """The part that nobody gets around."""
    for path in (image, label):
        gzip.decompress(path.read_bytes())


def only_read(image: Path, label: Path) -> None:
    """Reading alone, as this package does it."""
    for path in (image, label):
        read_volume(path)


def compare_chains(cases: Cases, size: tuple[int, ...], repeats: int) -> dict[str, Any]:
    """Alternate both chains over all cases; milliseconds a case and cases a second."""
    sides: dict[str, Callable[[Path, Path], Any]] = dict(
        torchio=their_chain(size), mmseg_medical=our_chain(size), read_only=only_read, gunzip_only=gunzip
    )
    wall: dict[str, list[float]] = {name: [] for name in sides}
    cpu: dict[str, list[float]] = {name: [] for name in sides}
    for repeat in range(-1, repeats):  # the first pass warms caches and is thrown away
        for name, run in sides.items():
            start = time.perf_counter(), time.process_time()
            for image, label in cases:
                run(image, label)
            if repeat >= 0:
                wall[name].append(time.perf_counter() - start[0])
                cpu[name].append(time.process_time() - start[1])
    report: dict[str, Any] = dict(cases=len(cases), size=size, runs=repeats)
    for name in sides:
        report[name] = dict(
            ms_per_case=round(statistics.median(wall[name]) / len(cases) * 1e3, 3),
            cpu_ms_per_case=round(statistics.median(cpu[name]) / len(cases) * 1e3, 3),
            cases_per_second=round(len(cases) / statistics.median(wall[name]), 1),
        )
    # run against the run beside it; processor time leaves out what other programs took meanwhile
    for key, seconds in (('ratio', wall), ('ratio_cpu', cpu)):
        ratios = sorted(a / b for a, b in zip(seconds['torchio'], seconds['mmseg_medical'], strict=True))
        report[key] = round(statistics.median(ratios), 2)
        report[f'{key}_range'] = [round(ratios[0], 2), round(ratios[-1], 2)]
    return report


def differences(cases: Cases, size: tuple[int, ...]) -> dict[str, Any]:
    """How far the results of both chains are apart, over the cases for which both define the same.

    Of an odd number of voxels to cut or fill, TorchIO takes one more at the lower end of the axis, we at the upper end:
    such cases are moved by a voxel against each other and left out. So are phantoms whose field of view is no whole
    number of millimetres: TorchIO then adds a voxel and lets the last one stick out, we adapt the spacing. Integers are
    made float32 for TorchIO, which otherwise cuts off what it interpolates: on one real file (308, uint8, 1 mm, nothing
    to do) 797 voxels then lose a grey level.
    """
    ours, theirs = our_chain(size), their_chain(size, as_float=True)
    image_gaps, label_shares = [], []
    for image, label in cases:
        extent = canonical_extent(image)
        if any(abs(have - want) % 2 > 1e-6 for have, want in zip(extent, size, strict=True)):
            continue
        (a, b), (c, d) = ours(image, label), theirs(image, label)
        image_gaps.append(float((a - c).abs().max()))
        label_shares.append(float((b != d).float().mean()))
    return dict(
        cases_compared=len(image_gaps),
        largest_image_difference=max(image_gaps, default=None),
        largest_share_of_other_labels=max(label_shares, default=None),
    )


def canonical_extent(path: Path) -> np.ndarray:
    """Field of view in mm along the axes of RAS."""
    volume = reorient(read_volume(path), 'RAS')
    return np.round(np.multiply(volume.size, volume.spacing_mm), 4)


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--data-root', default='data/Task04_Hippocampus')
    parser.add_argument('--volumes', type=int, default=None, help='of the real ones; default: all')
    parser.add_argument('--phantoms', type=int, default=8)
    parser.add_argument('--repeats', type=int, default=5)
    parser.add_argument('--patches', type=int, default=24, help='read from each kind of file; 0 leaves this out')
    parser.add_argument('--steps', type=int, default=8, help='of training on patches of 128^3; 0 leaves this out')
    parser.add_argument('--out', default='benchmarks/results/volume_io.json')
    return parser.parse_args()


def main() -> None:
    """Measure, print a table, write JSON."""
    import SimpleITK

    args = parse_args()
    torch.set_num_threads(1)
    SimpleITK.ProcessObject.SetGlobalDefaultNumberOfThreads(1)
    everywhere = os.sched_getaffinity(0) if hasattr(os, 'sched_setaffinity') else None
    if everywhere:
        os.sched_setaffinity(0, {max(everywhere)})
    init_default_scope('mmseg_medical')
    images = sorted(Path(args.data_root, 'imagesTr').glob('[!.]*.nii.gz'))[: args.volumes]
    real = [(path, Path(args.data_root, 'labelsTr', path.name)) for path in images]
    arguments = {name: value for name, value in vars(args).items() if name not in ('data_root', 'out')}
    report: dict[str, Any] = dict(arguments=arguments, target=TARGET)
    with tempfile.TemporaryDirectory() as folder:
        sets = {
            REAL: (real, (32, 64, 32)),
            'phantoms, 3 mm slices': (write_phantoms(Path(folder, '3'), args.phantoms, 3.0), (128, 128, 128)),
            LINEAR: (write_phantoms(Path(folder, '2'), args.phantoms, 2.0), (128, 128, 128)),
        }
        report['preprocessing'] = {
            name: {**compare_chains(cases, size, args.repeats), **differences(cases, size)}
            for name, (cases, size) in sets.items()
            if cases
        }
        if args.patches:
            report['patches'] = compare_patches(Path(folder), args.patches)
        if everywhere:
            os.sched_setaffinity(0, everywhere)
        if args.steps:
            report['loader'] = loader_share(Path(folder), args.steps)
    for name, found in report['preprocessing'].items():
        assert not found['largest_share_of_other_labels'], (name, found)
        # where both do the same in float32, only rounding may differ
        assert name not in (REAL, LINEAR) or (found['largest_image_difference'] or 0) < TOLERANCE, (name, found)
    report['machine'] = describe_machine()
    report['machine']['packages'].update({name: version(name) for name in PACKAGES})
    show(report)
    Path(args.out).parent.mkdir(parents=True, exist_ok=True)
    Path(args.out).write_text(json.dumps(report, indent=2) + '\n')


def show(report: dict[str, Any]) -> None:
    """Print the main figures."""
    table = Table('processor time, ms a case', 'TorchIO', 'ours', 'reading', 'gunzip', 'ratio', 'wall ratio', 'target')
    for name, found in report['preprocessing'].items():
        sides = ('torchio', 'mmseg_medical', 'read_only', 'gunzip_only')
        times = (f'{found[side]["cpu_ms_per_case"]:.2f}' for side in sides)
        table.add_row(name, *times, str(found['ratio_cpu']), str(found['ratio']), f'>= {TARGET:g}')
    Console().print(table)
    for name in ('patches', 'loader'):
        if name in report:
            Console().print(name, report[name])


if __name__ == '__main__':
    main()
