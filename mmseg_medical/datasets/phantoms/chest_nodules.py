"""Nodules of chest phantoms: where there is room for one, and what it looks like."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
from scipy import ndimage

from mmseg_medical.datasets.phantoms.chest_space import ChestSpace, ellipsoid, rotation, unit_vector

KINDS = ('solid', 'part-solid', 'ground-glass')
#: values of the lung map, as LUNA16 has them
LEFT_LUNG, RIGHT_LUNG, TRACHEA = 3, 4, 5

_SOLID, _GLASS = 50, -580
_ATTEMPTS = 200
_GAP_MM = 4.0  # between nodules, so that each is a component of its own
_SMALLEST_MM = 3.0


@dataclass(frozen=True)
class PhantomNodule:
    """A nodule as its mask has it.

    Attributes:
        center (tuple[float, float, float]): Centroid of its mask, in voxels.
        diameter_mm (float): Of the ball of the volume of its mask.
        kind (str): One of :data:`KINDS`.
        attached (bool): Whether it sits on the wall of the lung.
    """

    center: tuple[float, float, float]
    diameter_mm: float
    kind: str
    attached: bool


@dataclass
class ChestPhantom:
    """A scan and its truth; axes x to the patient's left, y to the back, z upwards.

    Attributes:
        image (np.ndarray): int16 (I, J, K), Hounsfield units.
        mask (np.ndarray): uint8 (I, J, K), 1 in nodules.
        lungs (np.ndarray): uint8 (I, J, K), 3 left lung, 4 right lung, 5 trachea; nodules belong to the lung.
        nodules (list[PhantomNodule]): In the order they were placed.
    """

    image: np.ndarray
    mask: np.ndarray
    lungs: np.ndarray
    nodules: list[PhantomNodule] = field(default_factory=list)


def add_nodule(
    phantom: ChestPhantom, space: ChestSpace, rng: np.random.Generator, diameter: float, kind: str, attached: bool
) -> None:
    """Put a nodule where the lung has room for it, a smaller one where it has not, none if there is no room at all."""
    inside = np.flatnonzero((phantom.lungs == LEFT_LUNG) | (phantom.lungs == RIGHT_LUNG))
    for attempt in range(_ATTEMPTS if inside.size else 0):
        radius = max(diameter * 0.97 ** (attempt // 4), _SMALLEST_MM + 0.2) / 2
        index = np.unravel_index(int(inside[rng.integers(inside.size)]), space.size)
        place = np.array([axis[i] for axis, i in zip(space.axes, index, strict=True)], np.float64)
        place += rng.uniform(-0.5, 0.5, 3) * space.spacing
        if attached:
            place = _to_wall(phantom.lungs, space, place, unit_vector(rng), 0.4 * radius)
        shape = ellipsoid(space, place, radius * rng.uniform(0.88, 1.12, 3), rotation(rng))
        found = _fitting(phantom, space, *shape, attached)
        if found is not None:
            _paint(phantom, space, found, shape, kind, attached)
            return


def _fitting(
    phantom: ChestPhantom, space: ChestSpace, box: tuple[slice, ...], level: np.ndarray, attached: bool
) -> np.ndarray | None:
    """Mask of a nodule within its box, None where it does not fit."""
    lung = (phantom.lungs[box] == LEFT_LUNG) | (phantom.lungs[box] == RIGHT_LUNG)
    ball = level < 1
    mask = ball & lung
    if attached:
        parts, number = ndimage.label(mask)
        mask = parts == 1 + np.argmax(np.bincount(parts.ravel())[1:]) if number else mask
    elif not lung[ball].all():
        return None
    volume = mask.sum() * float(np.prod(space.spacing))
    if volume < math.pi / 6 * _SMALLEST_MM**3 or (attached and mask.sum() < 0.4 * ball.sum()):
        return None
    gap = np.ceil(_GAP_MM / space.spacing).astype(int)
    wide = tuple(slice(max(s.start - g, 0), s.stop + g) for s, g in zip(box, gap, strict=True))
    return None if phantom.mask[wide].any() else mask


def _paint(
    phantom: ChestPhantom,
    space: ChestSpace,
    mask: np.ndarray,
    shape: tuple[tuple[slice, ...], np.ndarray],
    kind: str,
    attached: bool,
) -> None:
    box, level = shape
    tissue = phantom.image[box]
    tissue[mask] = _SOLID if kind == 'solid' else _GLASS
    if kind == 'part-solid':
        tissue[mask & (level < 0.3)] = _SOLID
    phantom.mask[box][mask] = 1
    center = np.argwhere(mask).mean(axis=0) + [s.start for s in box]
    volume = int(mask.sum()) * float(np.prod(space.spacing))
    diameter = (6 * volume / math.pi) ** (1 / 3)
    phantom.nodules.append(PhantomNodule(tuple(center.tolist()), diameter, kind, attached))


def _to_wall(
    lungs: np.ndarray, space: ChestSpace, place: np.ndarray, heading: np.ndarray, back_mm: float
) -> np.ndarray:
    """Go from a place in the lung to its wall, and a little back."""
    step = float(space.spacing.min())
    own = lungs[space.voxel(place)]
    for number in range(1, 400):
        there = place + heading * step * number
        if lungs[space.voxel(there)] != own or (np.abs(there) >= space.half).any():
            return there - heading * back_mm
    return place
