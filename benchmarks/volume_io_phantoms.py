"""Volumes for benchmarks of reading: what matters is their size, spacing, orientation and how well they compress."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
from scipy import ndimage

from mmseg_medical.geometry import Volume, write_volume


def scan(size: tuple[int, ...], seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Draw an int16 image, smooth tissue with noise in air, and its uint8 labels 0..2."""
    generator = np.random.default_rng(seed)
    coarse = [max(4, length // 12) for length in size]
    tissue = ndimage.zoom(
        generator.normal(size=coarse), np.array(size) / coarse, order=1, grid_mode=True, mode='grid-constant'
    )
    axes = np.ogrid[tuple(slice(-1, 1, length * 1j) for length in size)]
    inside = sum(axis**2 for axis in axes) < 0.8
    image = np.where(inside, 600 + 150 * tissue + generator.normal(scale=15, size=size), 0)
    labels = np.where(inside, (tissue > 0.8).astype(np.uint8) + (tissue > 1.3), 0)
    return image.astype(np.int16), labels.astype(np.uint8)


def write_phantoms(folder: Path, number: int, slice_mm: float) -> list[tuple[Path, Path]]:
    """Write 160 x 160 x 48 voxels of 0.8 x 0.8 x slice_mm mm, all but the first up to 8 % off, in many orientations."""
    generator = np.random.default_rng(0)
    turns = list(itertools.product(itertools.permutations(range(3)), itertools.product((1, -1), repeat=3)))
    cases = []
    for case in range(number):
        image, labels = scan((160, 160, 48), case)
        spacing = np.array([0.8, 0.8, slice_mm]) * (generator.uniform(0.92, 1.08, 3) if case else 1)
        order, signs = turns[(case * 7) % len(turns)]
        affine = np.eye(4)
        affine[:3, :3] = (np.eye(3) * signs)[:, list(order)] * spacing[None]
        paths = folder / f'{case}.nii.gz', folder / f'{case}_label.nii.gz'
        for array, path in zip((image, labels), paths, strict=True):
            write_volume(Volume(array, affine), path)
        cases.append(paths)
    return cases
