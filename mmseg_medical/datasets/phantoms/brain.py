"""Phantoms of heads with a tumour in the folder tree of BraTS 2021."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from mmseg_medical.datasets.phantoms.volume_files import placed, places, textured, write_turned

# intensity of brain, necrotic core, oedema, enhancing tumour
_TISSUE = {
    't1': np.array([500.0, 330.0, 430.0, 480.0]),
    't1ce': np.array([520.0, 350.0, 470.0, 950.0]),
    't2': np.array([400.0, 820.0, 760.0, 640.0]),
    'flair': np.array([420.0, 500.0, 850.0, 700.0]),
}
# the values of the release skip 3
_VALUES = np.array([0, 1, 2, 4], np.uint8)
# whatever the order of the axes, which slices there are must not change for the networks that see them
_TURNS = ('LPS', 'RAS', 'LAS', 'RPI')


def write_brats(
    root: str | Path,
    num_train: int = 3,
    num_val: int = 0,
    *,
    size: Sequence[int] = (40, 44, 12),
    turned: bool = False,
    seed: int = 0,
) -> Path:
    """Write phantoms as BraTS 2021 lays them out: four modalities, 0 outside the brain, labels 0, 1, 2 and 4.

    Args:
        root (str | Path): Folder that gets ``BraTS2021_Training_Data`` and, with cases, ``BraTS2021_ValidationData``.
        num_train (int): Cases with labels.
        num_val (int): Cases without.
        size (Sequence[int]): Voxels (I, J, K) of 1 mm.
        turned (bool): Whether the files of a case have their axes in different directions.
        seed (int): The same seed writes the same voxels.

    Returns:
        Path: ``root``, to be used as ``data_root``.
    """
    for index in range(num_train + num_val):
        rng = np.random.default_rng((seed, index))
        labelled = index < num_train
        case = f'BraTS2021_{index:05d}'
        folder = Path(root) / ('BraTS2021_Training_Data' if labelled else 'BraTS2021_ValidationData') / case
        brain, labels = _head(size, rng)
        affine = placed((1.0, 1.0, 1.0), rng, signs=(-1, -1, 1))
        for number, (name, tissue) in enumerate(_TISSUE.items()):
            image = np.clip(textured(tissue[labels], rng, noise=15.0), 1, None) * brain
            axes = _TURNS[number % len(_TURNS)] if turned else None
            write_turned(np.rint(image).astype(np.int16), affine, folder / f'{case}_{name}.nii.gz', axes)
        if labelled:
            write_turned(_VALUES[labels], affine, folder / f'{case}_seg.nii.gz', 'RAS' if turned else None)
    return Path(root)


def _head(size: Sequence[int], rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Mask of the brain, and labels 1 core, 2 oedema, 3 enhancing, nested."""
    x, y, z = places(size)
    brain = (x / 0.8) ** 2 + (y / 0.9) ** 2 + (z / 0.95) ** 2 < 1
    center, radius = rng.uniform(-0.25, 0.25, 3), rng.uniform(0.4, 0.5)
    distance = np.sqrt((x - center[0]) ** 2 + (y - center[1]) ** 2 + (z - center[2]) ** 2)
    labels = np.zeros(tuple(size), np.uint8)
    for label, share in ((2, 1.0), (3, 0.65), (1, 0.4)):
        labels[(distance < radius * share) & brain] = label
    return brain, labels
