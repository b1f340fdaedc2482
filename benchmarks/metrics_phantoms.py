"""Label maps in the sizes and shapes of what surface metrics are used for: prediction and target, seeded."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

Pair = tuple[np.ndarray, np.ndarray]

# BTCV's organs and the duodenum: centre and half axes in mm in a body of 410 x 410 x 450 mm, axes (x, y, z).
ORGANS = {
    'spleen': ((300, 230, 290), (28, 45, 50)),
    'right kidney': ((140, 250, 220), (28, 28, 55)),
    'left kidney': ((285, 255, 230), (28, 28, 55)),
    'gallbladder': ((150, 150, 240), (15, 18, 32)),
    'oesophagus': ((210, 240, 390), (9, 9, 55)),
    'liver': ((145, 190, 300), (85, 75, 75)),
    'stomach': ((265, 165, 300), (45, 38, 55)),
    'aorta': ((212, 265, 260), (12, 12, 170)),
    'vena cava': ((190, 262, 250), (12, 11, 150)),
    'portal vein': ((195, 215, 265), (35, 7, 8)),
    'pancreas': ((225, 205, 255), (55, 14, 14)),
    'right adrenal gland': ((165, 255, 285), (8, 6, 14)),
    'left adrenal gland': ((255, 255, 290), (8, 6, 14)),
    'duodenum': ((175, 205, 225), (16, 16, 38)),
}
CT_SPACING_MM = (0.8, 0.8, 3.0)


def _noise(shape: tuple[int, ...], scale: int, seed: int) -> np.ndarray:
    """Smooth noise of standard deviation 1."""
    small = np.random.default_rng(seed).normal(size=[n // scale + 3 for n in shape])
    field = ndimage.zoom(small, [n / (m - 2) for n, m in zip(shape, small.shape, strict=True)], order=1)
    field = field[tuple(slice(n) for n in shape)]
    return (field / field.std()).astype(np.float32)


def _ellipsoid(shape: tuple[int, ...], centre: np.ndarray, axes: np.ndarray, spacing: np.ndarray) -> np.ndarray:
    grids = np.ogrid[tuple(slice(n) for n in shape)]
    return sum(
        (((g * s - c) / a) ** 2).astype(np.float32) for g, s, c, a in zip(grids, spacing, centre, axes, strict=True)
    )


def tumour(margin: int = 0) -> Pair:
    """Four nested, ragged structures in a grid of 240 x 240 x 155, 1 mm, as a brain tumour has; ``margin`` pads it."""
    shape, spacing = (240, 240, 155), np.ones(3)
    maps = []
    for seed, shift in ((0, 0.0), (1, 1.5)):
        noise, labels = _noise(shape, 9, seed), np.zeros(shape, np.uint8)
        for label, axes in ((2, (45, 38, 32)), (1, (30, 26, 22)), (3, (20, 18, 15)), (4, (10, 9, 8))):
            distance = _ellipsoid(shape, np.array((105, 100, 80)) + shift, np.array(axes), spacing)
            labels[distance + 0.12 * noise < 1] = label
        maps.append(np.pad(labels, margin))
    return maps[0], maps[1]


def abdomen() -> Pair:
    """Fourteen organs in a grid of 512 x 512 x 150, 0.8 x 0.8 x 3 mm; label k is the organ k of :data:`ORGANS`."""
    shape, spacing = (512, 512, 150), np.array(CT_SPACING_MM)
    maps = []
    for seed, shift in ((0, 0.0), (1, 2.0)):
        noise, labels = _noise(shape, 16, seed), np.zeros(shape, np.uint8)
        for label, (centre, axes) in enumerate(ORGANS.values(), start=1):
            low = np.maximum((np.subtract(centre, np.multiply(axes, 1.3)) / spacing).astype(int), 0)
            high = np.minimum((np.add(centre, np.multiply(axes, 1.3)) / spacing).astype(int) + 2, shape)
            box = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
            distance = _ellipsoid(tuple(high - low), np.array(centre) + shift - low * spacing, np.array(axes), spacing)
            labels[box][distance + 0.08 * noise[box] < 1] = label
        maps.append(labels)
    return maps[0], maps[1]


def hippocampus() -> Pair:
    """Two neighbouring structures in a grid of 40 x 56 x 40, 1 mm."""
    shape = (40, 56, 40)
    maps = []
    for seed, shift in ((0, 0.0), (1, 0.7)):
        noise, labels = _noise(shape, 5, seed), np.zeros(shape, np.uint8)
        for label, centre, axes in ((1, (20, 20, 20), (9, 11, 8)), (2, (20, 37, 19), (7, 10, 6))):
            distance = _ellipsoid(shape, np.array(centre) + shift, np.array(axes), np.ones(3))
            labels[distance + 0.1 * noise < 1] = label
        maps.append(labels)
    return maps[0], maps[1]


def sphere(size: int = 250) -> Pair:
    """Two balls in a cube."""
    radius = 0.4 * size
    maps = [
        _ellipsoid((size,) * 3, np.full(3, size / 2 + shift), np.full(3, radius + grown), np.ones(3)) < 1
        for shift, grown in ((0, 0), (2, -2))
    ]
    return maps[0].astype(np.uint8), maps[1].astype(np.uint8)
