"""Patches of a large volume: from the store, from NIfTI, from a numpy memory map; and what a training step waits."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset
from volume_io_phantoms import scan

from mmseg_medical.datasets.samplers import SeededIndex, seed_sample
from mmseg_medical.geometry import Volume, write_volume
from mmseg_medical.registry import MODELS, TRANSFORMS

SIZE, PATCH = (240, 240, 155), (128, 128, 128)
_FREE_PATCHES = 100
HEAD = [dict(type='LoadVolume'), dict(type='LoadVolumeAnnotations')]
ZSCORE = dict(type='NormalizeIntensity', mode='zscore')


def write_brain(folder: Path) -> dict[str, str]:
    """Write one case of the size of a BraTS volume."""
    paths = dict(img_path=str(folder / 'brain.nii.gz'), seg_map_path=str(folder / 'brain_label.nii.gz'))
    for array, path in zip(scan(SIZE, 0), paths.values(), strict=True):
        if not Path(path).exists():
            write_volume(Volume(array, np.eye(4)), path)
    return dict(case_id='brain', **paths)


def readers(folder: Path) -> dict[str, Callable[[], Any]]:
    """Functions that read the case's next patch, image and label, each in its own way."""
    entry = write_brain(folder)
    crop = dict(patch_size=PATCH, foreground_prob=1 / 3)

    def by(*steps: dict) -> Callable[[], Any]:
        built = [TRANSFORMS.build(dict(step)) for step in steps]

        def run() -> Any:
            results = dict(entry)
            for step in built:
                results = step(results)
            return results['img'], results['gt_seg_map']

        return run

    def stored(head: list[dict], in_memory: bool = False) -> Callable[[], Any]:
        store = str(folder / 'store')
        return by(dict(type='LoadStoredPatch', pipeline=head, store_dir=store, patch=crop, in_memory=in_memory))

    normalised = by(*HEAD, ZSCORE)()
    for name, array in zip(('img', 'seg'), normalised, strict=True):
        np.save(folder / f'{name}.npy', array)

    def mapped() -> Any:
        image, label = (np.load(folder / f'{name}.npy', mmap_mode='r') for name in ('img', 'seg'))
        start = [np.random.randint(a - b + 1) for a, b in zip(SIZE, PATCH, strict=True)]  # noqa: NPY002
        box = tuple(slice(a, a + b) for a, b in zip(start, PATCH, strict=True))
        return np.array(image[(..., *box)]), np.array(label[box])

    return {
        'store, float32': stored([*HEAD, ZSCORE]),
        'store, integers': stored(HEAD),
        'store, in_memory': stored([*HEAD, ZSCORE], in_memory=True),
        'numpy memory map, float32': mapped,
        'NIfTI, normalise, crop': by(*HEAD, ZSCORE, dict(type='RandomPatch', **crop)),
    }


def compare_patches(folder: Path, number: int) -> dict[str, Any]:
    """Milliseconds a patch of 128^3 with its labels, warm file cache, ways alternating; bytes on disk."""
    ways = readers(folder)
    seconds: dict[str, list[tuple[float, float]]] = {name: [] for name in ways}
    for patch in range(-1, number):  # the first builds and warms
        for name, read in ways.items():
            if name.startswith('NIfTI') and patch > 4:
                continue
            seed_sample(SeededIndex(0, (patch + 1,)))
            start = time.perf_counter(), time.process_time()
            image, label = read()
            if patch >= 0:
                seconds[name].append((time.perf_counter() - start[0], time.process_time() - start[1]))
            assert image.shape[1:] == label.shape == PATCH
    sizes = sorted(path.stat().st_size for path in (folder / 'store').rglob('*.case'))
    return dict(
        volume=SIZE,
        patch=PATCH,
        ms_per_patch={name: _median_ms(wall for wall, _ in found) for name, found in seconds.items()},
        cpu_ms_per_patch={name: _median_ms(cpu for _, cpu in found) for name, found in seconds.items()},
        mib=dict(
            nifti=_mib(sum(Path(path).stat().st_size for path in list(write_brain(folder).values())[1:])),
            store=[_mib(size) for size in sizes],
            numpy=_mib(sum((folder / f'{name}.npy').stat().st_size for name in ('img', 'seg'))),
        ),
    )


def _median_ms(seconds: Iterable[float]) -> float:
    return round(statistics.median(seconds) * 1e3, 2)


def _mib(size: int) -> float:
    return round(size / 2**20, 2)


class _Patches(Dataset):
    def __init__(self, folder: Path) -> None:
        self.read = readers(folder)['store, float32']

    def __len__(self) -> int:
        return 1 << 20

    def __getitem__(self, index: int) -> tuple[torch.Tensor, torch.Tensor]:
        seed_sample(SeededIndex(0, (index,)))
        return tuple(map(torch.from_numpy, self.read()))


def loader_share(folder: Path, steps: int) -> dict[str, Any]:
    """Share of a training step that waits for the loader: one worker, one patch a step, a small 3D U-Net."""
    network = MODELS.build(dict(type='MedicalUNet', in_channels=1, channels=(8, 16, 32, 64)))
    optimizer = torch.optim.SGD(network.parameters(), 1e-3)
    patches: Iterator = iter(DataLoader(_Patches(folder), batch_size=1, num_workers=1))
    waits, totals = [], []
    for step in range(-2, steps):
        start = time.perf_counter()
        image, _ = next(patches)
        loaded = time.perf_counter()
        output = network(image)
        loss = (output[0] if isinstance(output, tuple | list) else output).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if step >= 0:
            waits.append(loaded - start)
            totals.append(time.perf_counter() - start)
    start = time.perf_counter()
    for _ in range(_FREE_PATCHES):  # some lie ready, as many do when this ends
        next(patches)
    free = time.perf_counter() - start
    return dict(
        network='UNet, channels 8, 16, 32, 64, batch 1 of 128^3, float32',
        step_ms=round(statistics.median(totals) * 1e3, 1),
        wait_ms=round(statistics.median(waits) * 1e3, 2),
        share=round(sum(waits) / sum(totals), 4),
        patches_per_second_of_one_worker=round(_FREE_PATCHES / free, 1),
    )
