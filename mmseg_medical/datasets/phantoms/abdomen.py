"""Phantoms of abdomens with 13 organs in the folder tree of the Synapse CT set."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from mmseg_medical.datasets.phantoms.volume_files import placed, places, textured, write_turned

# centre and half axes, from -1 to 1 of the body, x to the patient's left, y to the back; Hounsfield units
_ORGANS = (
    ((0.55, 0.30, 0.40), (0.20, 0.22, 0.35), 120),  # spleen
    ((-0.42, 0.42, -0.10), (0.15, 0.16, 0.35), 170),  # right kidney
    ((0.42, 0.42, -0.05), (0.15, 0.16, 0.35), 170),  # left kidney
    ((-0.38, -0.42, 0.00), (0.12, 0.12, 0.25), 10),  # gallbladder
    ((0.08, 0.32, 0.75), (0.07, 0.07, 0.25), 40),  # oesophagus
    ((-0.45, -0.08, 0.45), (0.34, 0.36, 0.40), 110),  # liver
    ((0.35, -0.28, 0.45), (0.24, 0.22, 0.35), 30),  # stomach
    ((0.10, 0.50, 0.00), (0.08, 0.08, 1.00), 200),  # aorta
    ((-0.12, 0.48, 0.00), (0.08, 0.08, 1.00), 160),  # inferior vena cava
    ((-0.12, 0.05, 0.15), (0.14, 0.07, 0.25), 165),  # portal vein
    ((0.15, 0.08, -0.05), (0.26, 0.09, 0.25), 95),  # pancreas
    ((-0.28, 0.28, 0.40), (0.09, 0.07, 0.20), 60),  # right adrenal gland
    ((0.27, 0.22, 0.35), (0.09, 0.07, 0.20), 60),  # left adrenal gland
)


def write_synapse(
    root: str | Path,
    num_train: int = 3,
    num_test: int = 1,
    *,
    size: Sequence[int] = (56, 52, 10),
    spacing_mm: Sequence[float] = (0.8, 0.8, 3.0),
    same_names: bool = False,
    seed: int = 0,
) -> Path:
    """Write phantoms as the Synapse set is laid out: CT in Hounsfield units, 13 organs, a test part without labels.

    Args:
        root (str | Path): Folder that gets ``synapse_train``, ``synapse_train_label`` and ``synapse_test``.
        num_train (int): Volumes with labels.
        num_test (int): Volumes without.
        size (Sequence[int]): Voxels (I, J, K) of the first volume.
        spacing_mm (Sequence[float]): Along each axis.
        same_names (bool): Give labels the names of their images, without ``_seg``.
        seed (int): The same seed writes the same voxels.

    Returns:
        Path: ``root``, to be used as ``data_root``.
    """
    for index in range(num_train + num_test):
        rng = np.random.default_rng((seed, index))
        image, labels = _abdomen((*size[:2], size[2] + index % 3), rng)
        affine = placed(spacing_mm, rng, signs=(1, -1, 1))
        name, train = f'DET{index + 1:07d}', index < num_train
        folder = Path(root) / ('synapse_train' if train else 'synapse_test')
        write_turned(np.rint(image).astype(np.int16), affine, folder / f'{name}.nii.gz')
        if train:
            write_turned(
                labels, affine, Path(root) / 'synapse_train_label' / f'{name}{"" if same_names else "_seg"}.nii.gz'
            )
    return Path(root)


def _abdomen(size: Sequence[int], rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    x, y, z = places(size)
    body = (x / 0.95) ** 2 + (y / 0.85) ** 2 < 1
    tissue = np.where(body, 50.0, -1000.0)
    labels = np.zeros(tuple(size), np.uint8)
    for label, (center, half, value) in enumerate(_ORGANS, start=1):
        cx, cy, cz = np.array(center) + rng.uniform(-0.02, 0.02, 3)
        inside = ((x - cx) / half[0]) ** 2 + ((y - cy) / half[1]) ** 2 + ((z - cz) / half[2]) ** 2 < 1
        labels[inside] = label
        tissue[inside] = value
    return textured(tissue, rng, noise=12.0, field=0.02), labels
