"""Phantoms of short-axis stacks in the folder trees of ACDC and M&Ms."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from mmseg_medical.datasets.phantoms.volume_files import placed, places, textured, write_turned

# blood is bright, muscle is dark, the rest of the chest lies between
_TISSUE = np.array([90.0, 220.0, 60.0, 230.0])
_ACDC_TO_MNMS = np.array([0, 3, 2, 1], np.uint8)


def heart_labels(size: Sequence[int], squeeze: float, rng: np.random.Generator) -> np.ndarray:
    """Right ventricle 1 (a crescent), myocardium 2 (a ring), left ventricle 3, from base to apex along the last axis.

    Args:
        size (Sequence[int]): Voxels (I, J, K). With five slices or more the outermost ones show no heart.
        squeeze (float): 0 at end-diastole, 1 at end-systole: cavities shrink, the wall thickens.
        rng (np.random.Generator): Place and size.

    Returns:
        np.ndarray: uint8 (I, J, K).
    """
    x, y, z = places(size)
    cx, cy = rng.uniform(-0.1, 0.1, 2)
    outer = rng.uniform(0.36, 0.42)
    taper = np.clip(1 - 0.45 * (z + 1) / 2, 0, None) * (np.abs(z) < 0.95 if size[2] >= 5 else np.ones_like(z))
    cavity = outer * (0.68 - 0.18 * squeeze)
    distance = np.hypot(x - cx, y - cy)
    right = np.hypot(x - cx + 0.42, (y - cy) / 1.2) < (0.42 - 0.08 * squeeze) * taper
    labels = np.zeros(tuple(size), np.uint8)
    labels[right] = 1
    labels[distance < outer * taper] = 2
    labels[distance < cavity * taper] = 3
    return labels


def write_acdc(
    root: str | Path,
    num_train: int = 4,
    num_test: int = 1,
    *,
    size: Sequence[int] = (48, 56, 6),
    spacing_mm: Sequence[float] = (1.5, 1.5, 10.0),
    seed: int = 0,
) -> Path:
    """Write phantoms as ACDC lays them out; no two have the same size.

    Args:
        root (str | Path): Folder that gets ``training`` and ``testing``.
        num_train (int): Patients of the first.
        num_test (int): Patients of the second.
        size (Sequence[int]): Voxels (I, J, K) of the first patient.
        spacing_mm (Sequence[float]): Along each axis.
        seed (int): The same seed writes the same voxels.

    Returns:
        Path: ``root``, to be used as ``data_root``.
    """
    for index in range(num_train + num_test):
        rng = np.random.default_rng((seed, index))
        part = 'training' if index < num_train else 'testing'
        patient = f'patient{index + 1:03d}'
        folder = Path(root) / part / patient
        shape = (size[0] + 3 * (index % 3), size[1] - 2 * (index % 2), size[2])
        frames = {'ED': 1, 'ES': int(rng.integers(7, 15))}
        affine = placed(spacing_mm, rng)
        for number, frame in enumerate(frames.values()):
            labels = heart_labels(shape, number, np.random.default_rng((seed, index, 7)))
            image = np.clip(textured(_TISSUE[labels], rng, noise=8.0), 0, None)
            stem = f'{patient}_frame{frame:02d}'
            write_turned(np.rint(image).astype(np.int16), affine, folder / f'{stem}.nii.gz')
            write_turned(labels, affine, folder / f'{stem}_gt.nii.gz')
        lines = {**frames, 'Group': 'NOR', 'Height': 170.0, 'NbFrame': 20, 'Weight': 70.0}
        (folder / 'Info.cfg').write_text(''.join(f'{name}: {value}\n' for name, value in lines.items()))
    return Path(root)


def write_mnms(
    root: str | Path,
    num_train: int = 4,
    num_val: int = 1,
    num_test: int = 1,
    *,
    size: Sequence[int] = (44, 40, 5),
    times: int = 4,
    spacing_mm: Sequence[float] = (1.2, 1.2, 9.0),
    seed: int = 0,
) -> Path:
    """Write phantoms as M&Ms lays them out: series of four axes, labels at end-diastole and end-systole only.

    Args:
        root (str | Path): Folder that gets ``Training/Labeled``, ``Validation`` and ``Testing``.
        num_train (int): Subjects of the first.
        num_val (int): Subjects of the second.
        num_test (int): Subjects of the third.
        size (Sequence[int]): Voxels (I, J, K) of the first subject.
        times (int): Of a series, at least 2; 0 is end-diastole, the middle one end-systole.
        spacing_mm (Sequence[float]): Along each axis.
        seed (int): The same seed writes the same voxels.

    Returns:
        Path: ``root``, to be used as ``data_root``.
    """
    parts = ['Training/Labeled'] * num_train + ['Validation'] * num_val + ['Testing'] * num_test
    for index, part in enumerate(parts):
        rng = np.random.default_rng((seed, index))
        subject = ''.join(rng.choice(list('ABCDEFGHJKLMNPQRSTUVWXYZ'), 2)) + f'{index:04d}'
        shape = (*size[:2], size[2] + index % 2)
        affine = placed(spacing_mm, rng)
        series, truth = [], []
        for time in range(times):
            squeeze = 1 - abs(2 * time / times - 1)
            labels = heart_labels(shape, squeeze, np.random.default_rng((seed, index, 7)))
            series.append(np.clip(textured(_TISSUE[labels], rng, noise=8.0), 0, None))
            truth.append(_ACDC_TO_MNMS[labels] if time in (0, times // 2) else np.zeros_like(labels))
        folder = Path(root) / part / subject
        write_turned(np.stack(series, axis=-1).astype(np.float32), affine, folder / f'{subject}_sa.nii.gz')
        write_turned(np.stack(truth, axis=-1), affine, folder / f'{subject}_sa_gt.nii.gz')
    return Path(root)
