"""The four retinal lesions: codes, labels, colours, and the bit map that keeps their overlaps.

A *bit map* is an (H, W) uint8 array: bit ``i`` is set where lesion ``LESIONS[i]`` is, ``IGNORE_BIT`` where the truth
is unknown. Unlike a label map it loses nothing where lesions overlap, so the overlap order and the form of the target
are decided when it is read, not when it is stored.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

import numpy as np

LESIONS = ('EX', 'MA', 'SE', 'HE')  # bit i of a bit map, label i + 1 of a label map
LESION_NAMES = {'EX': 'hard exudates', 'MA': 'microaneurysms', 'SE': 'soft exudates', 'HE': 'haemorrhages'}
CLASSES = ('background', *LESIONS)
PALETTE = [[0, 0, 0], [255, 0, 0], [255, 255, 0], [255, 255, 255], [0, 255, 0]]
DEFAULT_OVERLAP_ORDER = ('EX', 'HE', 'SE', 'MA')  # painted in this order: the last one survives
IGNORE_INDEX = 255
IGNORE_BIT = 0x80


def check_overlap_order(order: Sequence[str]) -> tuple[str, ...]:
    """Return ``order`` as a tuple.

    Raises:
        ValueError: it is not a permutation of the four lesion codes.
    """
    if sorted(order) != sorted(LESIONS):
        raise ValueError(f'overlap_order must name each of {LESIONS} once, later wins; found {tuple(order)}')
    return tuple(order)


def label_lut(order: Sequence[str] = DEFAULT_OVERLAP_ORDER) -> np.ndarray:
    """Table from bit maps to labels.

    Args:
        order (Sequence[str]): Lesions in the order of painting; where they overlap the later one wins.

    Returns:
        np.ndarray: shape (256,), uint8; ``lut[bits]`` is a label 0..4, or 255 wherever the ignore bit is set.

    >>> lut = label_lut(('EX', 'HE', 'SE', 'MA'))
    >>> [int(lut[b]) for b in (0b0000, 0b0001, 0b1010, 0b1000)]  # nothing, EX, MA over HE, HE
    [0, 1, 2, 4]
    """
    values = np.arange(256)
    lut = np.zeros(256, np.uint8)
    for lesion in check_overlap_order(order):
        bit = LESIONS.index(lesion)
        lut[(values >> bit) & 1 == 1] = bit + 1
    lut[values & IGNORE_BIT != 0] = IGNORE_INDEX
    return lut


def bits_to_channels(bits: np.ndarray) -> np.ndarray:
    """One channel a lesion, overlaps kept.

    Args:
        bits (np.ndarray): bit map, shape (H, W), uint8.

    Returns:
        np.ndarray: shape (H, W, 4), uint8, 0 or 1 in the order of ``LESIONS``; 255 in all channels where ignored.
    """
    values = np.arange(256)
    lut = ((values[:, None] >> np.arange(len(LESIONS))) & 1).astype(np.uint8)
    lut[values & IGNORE_BIT != 0] = IGNORE_INDEX
    return lut[bits]


def labels_to_bits(labels: np.ndarray) -> np.ndarray:
    """Bit map of a label map with values 0..4 and 255 (the caller has checked that there are no others)."""
    lut = np.zeros(256, np.uint8)
    lut[1 : len(LESIONS) + 1] = 1 << np.arange(len(LESIONS))
    lut[IGNORE_INDEX] = IGNORE_BIT
    return lut[labels]


def count_lesions(histogram: np.ndarray) -> dict[str, int]:
    """Pixels of each lesion, pixels in overlaps counted for every lesion they belong to.

    Args:
        histogram (np.ndarray): shape (256,), number of pixels for every value of a bit map.
    """
    values = np.arange(256)
    return {code: int(histogram[(values >> i) & 1 == 1].sum()) for i, code in enumerate(LESIONS)}


def count_overlaps(histogram: np.ndarray) -> dict[str, int]:
    """Pixels shared by each pair of lesions, for pairs that share any.

    Args:
        histogram (np.ndarray): shape (256,), number of pixels for every value of a bit map.

    Returns:
        dict[str, int]: ``{'EX+MA': 12, ...}``; a pixel of three lesions counts for all three pairs.
    """
    values = np.arange(256)
    counts = {}
    for (i, first), (j, second) in combinations(enumerate(LESIONS), 2):
        pair = (1 << i) | (1 << j)
        number = int(histogram[values & pair == pair].sum())
        if number:
            counts[f'{first}+{second}'] = number
    return counts
