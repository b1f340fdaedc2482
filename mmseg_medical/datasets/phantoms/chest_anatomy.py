"""A chest for CT phantoms: lungs, heart, bones, airways, branching vessels and nodules, in Hounsfield units."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from scipy import ndimage

from mmseg_medical.datasets.phantoms.chest_nodules import (
    KINDS,
    LEFT_LUNG,
    RIGHT_LUNG,
    TRACHEA,
    ChestPhantom,
    add_nodule,
)
from mmseg_medical.datasets.phantoms.chest_space import ChestSpace, fill_tube, unit_vector

_OUTSIDE, _AIR, _LUNG, _FAT, _TISSUE, _HEART, _BONE, _VESSEL = -2000, -1000, -850, -100, 40, 50, 500, 60
_NOISE = 22.0


def chest_phantom(
    size: Sequence[int],
    spacing_mm: Sequence[float],
    rng: np.random.Generator,
    num_nodules: int = 3,
    diameter_mm: Sequence[float] = (3.0, 30.0),
    padded: bool = False,
) -> ChestPhantom:
    """Make a scan of a chest that fills the field of view.

    Vessels are as dense and as wide as small nodules: what takes them for nodules shows. Diameters are drawn evenly on
    a logarithmic scale; a nodule for which the lung has no room becomes smaller, every third one sits on its wall.

    Args:
        size (Sequence[int]): Voxels (I, J, K).
        spacing_mm (Sequence[float]): Along each axis.
        rng (np.random.Generator): Of all draws.
        num_nodules (int): Kinds take turns.
        diameter_mm (Sequence[float]): Smallest and largest.
        padded (bool): Whether the corners, outside the round field of view, hold -2000 as some scanners write.
    """
    space = ChestSpace(size, spacing_mm)
    image, lungs = _body(space, rng)
    for start, stop, radius in _vessels(space, rng):
        fill_tube(image, space, start, stop, radius, _VESSEL, lungs >= LEFT_LUNG)
    _airways(image, lungs, space)
    phantom = ChestPhantom(image, np.zeros(space.size, np.uint8), lungs)
    for number in range(num_nodules):
        drawn = float(np.exp(rng.uniform(*np.log(diameter_mm))))
        add_nodule(phantom, space, rng, drawn, KINDS[number % len(KINDS)], attached=number % 3 == 2)
    blurred = ndimage.gaussian_filter(image, 0.5, mode='nearest', truncate=3.0)
    blurred += rng.standard_normal(space.size, np.float32) * np.float32(_NOISE)
    if padded:
        x, y, _ = space.grids()
        outside = ((x / space.half[0]) ** 2 + (y / space.half[1]) ** 2 > 1)[:, :, 0]
        blurred[outside] = _OUTSIDE
    phantom.image = np.rint(blurred).astype(np.int16)
    return phantom


def _body(space: ChestSpace, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Image without vessels and airways, float32, and the map of the lungs."""
    x, y, z = space.grids()
    hx, hy, hz = space.half.astype(np.float32)
    around = np.sqrt((x / (0.92 * hx)) ** 2 + (y / (0.8 * hy)) ** 2)  # 1 on the skin
    plane = np.where(around < 0.94, _TISSUE, np.where(around < 1, _FAT, _AIR)).astype(np.float32)
    image = np.repeat(plane, space.size[2], axis=2)
    slope, phase = 0.4, rng.uniform(0, 14)
    ribs = ((around > 0.83) & (around < 0.9)) & (np.mod(z + slope * y + phase, 14) < 5.5)
    image[ribs] = _BONE
    spine = ((x / (0.12 * hx)) ** 2 + ((y - 0.55 * hy) / (0.12 * hy)) ** 2 < 1) & (np.mod(z + phase, 18) < 15)
    image[spine] = _BONE - 150
    tilt = rng.uniform(-0.02, 0.02, 2)
    heart = ((x - (0.1 + tilt[0]) * hx) / (0.27 * hx)) ** 2 + ((y + (0.18 + tilt[1]) * hy) / (0.3 * hy)) ** 2
    heart = heart + ((z + 0.35 * hz) / (0.5 * hz)) ** 2 < 1
    lungs = np.zeros(space.size, np.uint8)
    for side, label in ((1, LEFT_LUNG), (-1, RIGHT_LUNG)):
        flat = ((x - side * 0.43 * hx) / (0.3 * hx)) ** 2 + (y / (0.52 * hy)) ** 2
        lung = (flat + (z / (0.97 * hz)) ** 2 < 1) & (around < 0.8) & ~heart
        lung &= z > hz * (-0.85 + 0.3 * (1 - flat))  # the diaphragm arches into it
        lungs[lung] = label
    image[lungs > 0] = _LUNG
    image[heart & (image == _TISSUE)] = _HEART
    return image, lungs


def _vessels(space: ChestSpace, rng: np.random.Generator) -> Iterator[tuple[np.ndarray, np.ndarray, float]]:
    """Pieces (start, stop, radius in mm) of trees that branch from the hilum of each lung."""
    for side in (1, -1):
        hilum = np.array([side * 0.16, 0.02, 0.0]) * space.half
        for tilt in (-0.7, 0.1, 0.8):
            heading = np.array([side, rng.uniform(-0.6, 0.6), tilt])
            branches = [(hilum, heading, 0.05 * space.half[0], 0.2 * float(space.half.min()), 0)]
            while branches:
                start, heading, radius, length, depth = branches.pop()
                stop = start + heading / np.linalg.norm(heading) * length
                yield start, stop, radius
                if depth < 4:
                    for sign in (1, -1):
                        turned = heading / np.linalg.norm(heading) + sign * rng.uniform(0.2, 0.7) * unit_vector(rng)
                        branches.append((stop, turned, max(0.76 * radius, 0.7), length * 0.9, depth + 1))


def _airways(image: np.ndarray, lungs: np.ndarray, space: ChestSpace) -> None:
    radius = 0.06 * space.half[0]
    top, fork = np.array([0, 0.12, 1.0]) * space.half, np.array([0, 0.12, 0.25]) * space.half
    tubes = [(top, fork, radius)]
    for side in (1, -1):
        root = np.array([side * 0.2, 0.1, 0.05]) * space.half
        tubes += [(fork, root, 0.7 * radius), (root, np.array([side * 0.4, 0.15, -0.2]) * space.half, 0.45 * radius)]
    for start, stop, width in tubes:
        fill_tube(image, space, start, stop, width + 1.2, _TISSUE)
    for start, stop, width in tubes:
        fill_tube(image, space, start, stop, width, _AIR)
    fill_tube(lungs, space, top, fork, radius, TRACHEA)
