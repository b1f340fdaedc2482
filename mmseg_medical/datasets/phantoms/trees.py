"""Phantoms in the official folder trees of IDRiD and DDR, with the encodings of masks varied."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from mmseg_medical.datasets import ddr, idrid
from mmseg_medical.datasets.lesions import LESIONS
from mmseg_medical.datasets.phantoms.fundus import FundusPhantom, fundus_phantom
from mmseg_medical.datasets.phantoms.mask_encodings import ENCODINGS, write_mask


def write_idrid(
    root: str | Path, num_train: int = 4, num_test: int = 2, size: tuple[int, int] = (356, 536), seed: int = 0
) -> Path:
    """Write phantoms as IDRiD lays them out: an absent lesion is an absent file.

    Args:
        root (str or Path): Folder that gets ``A. Segmentation``.
        num_train (int): Images ``IDRiD_01`` onwards.
        num_test (int): Images that follow.
        size (tuple[int, int]): Height and width in pixels.
        seed (int): The same seed writes the same pixels.

    Returns:
        Path: ``root``, to be used as ``data_root``.
    """
    root = Path(root)
    top = root / 'A. Segmentation'
    parts = [idrid.PARTS['train']] * num_train + [idrid.PARTS['test']] * num_test
    for index, part in enumerate(parts):
        case = f'IDRiD_{index + 1:02d}'
        phantom = _draw(index, seed, size)
        _write_image(top / idrid.IMAGES / part / f'{case}.jpg', phantom)
        for number, (code, folder) in enumerate(idrid.MASK_FOLDERS.items()):
            target = top / idrid.MASKS / part / folder
            target.mkdir(parents=True, exist_ok=True)
            if phantom.masks[code].any():
                write_mask(target / f'{case}_{code}.tif', phantom.masks[code], _encoding(index, number))
    return root


def write_ddr(
    root: str | Path,
    num_train: int = 3,
    num_valid: int = 2,
    num_test: int = 2,
    size: tuple[int, int] = (356, 536),
    seed: int = 0,
) -> Path:
    """Write phantoms as DDR lays them out: four masks an image, an absent lesion is all black, sizes differ.

    Args:
        root (str or Path): Folder that gets ``lesion_segmentation``.
        num_train (int): Training images.
        num_valid (int): Validation images, whose masks lie in the oddly named ``segmentation label``.
        num_test (int): Test images.
        size (tuple[int, int]): Height and width in pixels of the first image; every other one is a little smaller.
        seed (int): The same seed writes the same pixels.

    Returns:
        Path: ``root``, to be used as ``data_root``.
    """
    root = Path(root)
    parts = ['train'] * num_train + ['valid'] * num_valid + ['test'] * num_test
    for index, part in enumerate(parts):
        case = f'007-{index + 1000:04d}-100'
        shrink = 1 - 0.07 * (index % 2)
        phantom = _draw(index, seed + 1, (round(size[0] * shrink), round(size[1] * shrink)))
        folder = root / 'lesion_segmentation' / part
        _write_image(folder / 'image' / f'{case}.jpg', phantom)
        for number, code in enumerate(LESIONS):
            target = folder / ddr.label_folder_name(part) / code
            target.mkdir(parents=True, exist_ok=True)
            write_mask(target / f'{case}.tif', phantom.masks[code], _encoding(index, number))
    return root


def _draw(index: int, seed: int, size: tuple[int, int]) -> FundusPhantom:
    # every second image lacks soft exudates, as in IDRiD, and every fifth haemorrhages
    absent = {'SE'} if index % 2 else set()
    if index % 5 == 3:
        absent.add('HE')
    return fundus_phantom(size, seed=seed * 10_007 + index, lesions=set(LESIONS) - absent)


def _encoding(image: int, lesion: int) -> str:
    names = list(ENCODINGS)
    return names[(image * (len(LESIONS) + 1) + lesion) % len(names)]  # every lesion meets every encoding


def _write_image(path: Path, phantom: FundusPhantom) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.ascontiguousarray(phantom.image[..., ::-1])).save(path, quality=92)
