"""Phantoms in the folder tree of the Medical Segmentation Decathlon."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from scipy import ndimage

from mmseg_medical.geometry import Grid, Reorient, Volume, write_volume

_BRAIN = 'Task01_BrainTumour'
_HIPPOCAMPUS = 'Task04_Hippocampus'
_MODALITIES = {_BRAIN: ('FLAIR', 'T1w', 't1gd', 'T2w')}
_LABELS = {
    _BRAIN: ('background', 'edema', 'non-enhancing tumor', 'enhancing tumour'),
    _HIPPOCAMPUS: ('background', 'Anterior', 'Posterior'),
}
# smallest and largest size along each axis, of the real data
_SIZES = {_HIPPOCAMPUS: ((31, 43), (40, 59), (24, 47)), _BRAIN: ((48, 64), (48, 64), (40, 56))}
# what each tissue looks like in each modality: background, then the labels
_CONTRAST = {
    _BRAIN: np.array([[1.0, 2.2, 1.6, 1.9], [1.0, 0.8, 0.6, 0.9], [1.0, 0.9, 0.7, 2.4], [1.0, 2.1, 2.0, 1.5]]),
    _HIPPOCAMPUS: np.array([[1.0, 1.9, 1.6]]),
}


def write_decathlon(
    root: str | Path,
    task: str = _HIPPOCAMPUS,
    num_cases: int = 6,
    num_test: int = 1,
    *,
    size: Sequence[int] | None = None,
    spacing_mm: Sequence[float] = (1.0, 1.0, 1.0),
    turned: bool = False,
    seed: int = 0,
) -> Path:
    """Write phantoms of one task as the Decathlon lays them out.

    The hippocampus is a bent rod of two parts in a crop of varying size and intensity range, the brain tumour three
    nested bodies in a head with four modalities; of any other task two balls in noise.

    Args:
        root (str | Path): Folder that gets the task's folder.
        task (str): Name of the folder.
        num_cases (int): Labelled images.
        num_test (int): Images without labels.
        size (Sequence[int] | None): Voxels along each of the three axes; None varies them as in the real data.
        spacing_mm (Sequence[float]): Along each axis.
        turned (bool): Whether the axes of each file point another way.
        seed (int): The same seed writes the same voxels.

    Returns:
        Path: ``root``, to be used as ``data_root``.
    """
    folder = Path(root) / task
    name = task.partition('_')[2].lower()
    labels = _LABELS.get(task, ('background', 'first', 'second'))
    modalities = _MODALITIES.get(task, ('MRI',))
    listed: dict[str, list] = {'training': [], 'test': []}
    for index in range(num_cases + num_test):
        rng = np.random.default_rng((seed, index))
        case = f'{name}_{index + 1:03d}.nii.gz'
        shape = tuple(size) if size is not None else _drawn_size(rng, task)
        truth = _truth(rng, task, shape)
        image = _image(rng, truth, _CONTRAST.get(task, np.array([[1.0, 2.0, 3.0]])))
        affine = np.diag([*spacing_mm, 1.0])
        affine[:3, 3] = rng.uniform(-50, 50, 3)
        part = 'Tr' if index < num_cases else 'Ts'
        codes = _codes(rng) if turned else 'RAS'
        _write(image, affine, codes, folder / f'images{part}' / case)
        if part == 'Tr':
            _write(truth[None], affine, codes, folder / 'labelsTr' / case)
            listed['training'].append({'image': f'./imagesTr/{case}', 'label': f'./labelsTr/{case}'})
        else:
            listed['test'].append(f'./imagesTs/{case}')
    release = {
        'name': task.partition('_')[2],
        'description': 'phantoms, no patients',
        'tensorImageSize': '4D' if len(modalities) > 1 else '3D',
        'modality': {str(i): modality for i, modality in enumerate(modalities)},
        'labels': {str(i): label for i, label in enumerate(labels)},
        'numTraining': num_cases,
        'numTest': num_test,
        **listed,
    }
    (folder / 'dataset.json').write_text(json.dumps(release, indent=1))
    return Path(root)


def _drawn_size(rng: np.random.Generator, task: str) -> tuple[int, ...]:
    ranges = _SIZES.get(task, ((24, 40), (24, 40), (24, 40)))
    return tuple(int(rng.integers(low, high + 1)) for low, high in ranges)


def _truth(rng: np.random.Generator, task: str, size: tuple[int, ...]) -> np.ndarray:
    # places from -1 to 1 along each axis
    x, y, z = np.meshgrid(*(np.linspace(-1, 1, n) if n > 1 else np.zeros(1) for n in size), indexing='ij')
    labels = np.zeros(size, np.uint8)
    if task == _HIPPOCAMPUS:
        bend, shift = rng.uniform(0.2, 0.45), rng.uniform(-0.1, 0.1, 3)
        along = y - shift[1]
        across = np.hypot((x - shift[0] - bend * (along**2 - 0.2)) / 0.35, (z - shift[2]) / 0.38)
        rod = (across < np.sqrt(np.clip(1 - (along / rng.uniform(0.65, 0.8)) ** 2, 0, None))) & (np.abs(along) < 0.8)
        labels[rod] = 2
        labels[rod & (along > rng.uniform(0.0, 0.15))] = 1
        return labels
    number = 3 if task == _BRAIN else 2
    center = rng.uniform(-0.3, 0.3, 3)
    radius = rng.uniform(0.35, 0.5)
    for label in range(1, number + 1):
        if task != _BRAIN:
            center, radius = rng.uniform(-0.5, 0.5, 3), rng.uniform(0.25, 0.4)
        distance = np.sqrt((x - center[0]) ** 2 + (y - center[1]) ** 2 + (z - center[2]) ** 2)
        labels[distance < radius * (1 - 0.3 * (label - 1) if task == _BRAIN else 1)] = label
    return labels


def _image(rng: np.random.Generator, truth: np.ndarray, contrast: np.ndarray) -> np.ndarray:
    """Modalities (C, I, J, K): tissue, a smooth field over it, noise, and a range of its own."""
    modalities = []
    for levels in contrast:
        tissue = ndimage.gaussian_filter(levels[truth], 0.6)
        field = ndimage.gaussian_filter(rng.standard_normal(truth.shape), [n / 6 for n in truth.shape])
        field *= 0.15 / max(float(np.abs(field).max()), 1e-12)
        noisy = tissue * (1 + field) + 0.15 * rng.standard_normal(truth.shape)
        modalities.append(np.clip(noisy, 0, None) * 10 ** rng.uniform(1.5, 5))
    return np.stack(modalities).astype(np.float32)


def _codes(rng: np.random.Generator) -> str:
    pairs = rng.permutation(['RL', 'AP', 'SI'])
    return ''.join(pair[rng.integers(2)] for pair in pairs)


def _write(array: np.ndarray, affine: np.ndarray, codes: str, path: Path) -> None:
    step = Reorient.plan(Grid(array.shape[1:], affine), codes)
    turned = step.apply(array, 'nearest')
    several = len(turned) > 1
    stored = np.moveaxis(turned, 0, -1) if several else turned[0]
    write_volume(Volume(np.ascontiguousarray(stored), step.target.affine, path.name, has_channels=several), path)
