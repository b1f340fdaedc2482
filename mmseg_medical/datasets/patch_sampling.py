"""Where a patch is cut: pure functions of the labels and of numpy's generator, which the sampler seeds."""

# ruff: noqa: NPY002 - the sampler seeds numpy's global generator for every sample
from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

#: class to its voxels, integer array (n, rank)
ClassLocations = Mapping[int, np.ndarray]


class PatchDraw(NamedTuple):
    """Place of a patch.

    Attributes:
        start: First voxel along each axis; negative where the patch begins before the volume.
        drawn_class: Class the patch was asked to contain, None if it was drawn anywhere.
    """

    start: tuple[int, ...]
    drawn_class: int | None


def draw_patch(
    size: Sequence[int],
    patch_size: Sequence[int],
    labels: np.ndarray | ClassLocations | None,
    foreground_prob: float = 1 / 3,
    class_probs: Mapping[int, float] | None = None,
    ignore_index: int = 255,
) -> PatchDraw:
    """Draw a patch; with ``foreground_prob`` one that contains a class.

    A class is drawn among those present, then one of its voxels, then the patch uniformly among all that contain the
    voxel and stay within the volume. Rare classes are met as often as frequent ones, and foreground turns up anywhere
    in the patch, not in its middle. Along an axis on which the volume is shorter, it lies anywhere in the patch.

    Args:
        size (Sequence[int]): Of the volume, rank numbers.
        patch_size (Sequence[int]): Of the patch.
        labels (np.ndarray | Mapping | None): Label map (*S), masks (K, *S) of 0 and 1, or for each class its voxels
            (n, rank). None draws anywhere.
        foreground_prob (float): Probability of asking for a class.
        class_probs (Mapping[int, float] | None): Weight of each class; others are never asked for. None weighs all
            classes but the background the same.
        ignore_index (int): Label that is no class.

    Returns:
        PatchDraw: Place, and the class that was asked for.
    """
    voxel, drawn = None, None
    if np.random.random_sample() < foreground_prob and labels is not None:
        present = _present_classes(labels, len(size), ignore_index)
        drawn = _draw_class(present, class_probs)
        if drawn is not None:
            voxel = _draw_voxel(labels, drawn, len(size))
    start = []
    for axis, (have, want) in enumerate(zip(size, patch_size, strict=True)):
        low, high = min(0, have - want), max(0, have - want)
        if voxel is not None:
            low, high = max(low, voxel[axis] - want + 1), min(high, voxel[axis])
        start.append(int(np.random.randint(low, high + 1)))
    return PatchDraw(tuple(start), drawn)


def draw_centred_patch(
    size: Sequence[int], patch_size: Sequence[int], center: np.ndarray | None, jitter: float = 0.0
) -> tuple[int, ...]:
    """Draw a patch around a place; it stays within the volume, and a shorter axis lies anywhere in it.

    Args:
        size (Sequence[int]): Of the volume.
        patch_size (Sequence[int]): Of the patch.
        center (np.ndarray | None): shape (rank,), voxel that comes to its middle. None draws anywhere.
        jitter (float): Largest shift along each axis, as a part of the patch: uniform.

    Returns:
        tuple[int, ...]: first voxel along each axis, as of :class:`PatchDraw`.
    """
    start = []
    for axis, (have, want) in enumerate(zip(size, patch_size, strict=True)):
        low, high = min(0, have - want), max(0, have - want)
        if center is None or have < want:
            start.append(int(np.random.randint(low, high + 1)))
            continue
        most = int(jitter * want)
        middle = int(np.rint(center[axis])) - want // 2
        start.append(int(np.clip(middle + np.random.randint(-most, most + 1), low, high)))
    return tuple(start)


def cut_patch(array: np.ndarray, start: Sequence[int], patch_size: Sequence[int], fill: float = 0) -> np.ndarray:
    """Cut a patch, filling what lies outside the volume.

    Args:
        array (np.ndarray): shape (*lead, *S); or what a store has opened, of which only the patch is read.
        start (Sequence[int]): As of :class:`PatchDraw`.
        patch_size (Sequence[int]): Of the patch, one number for each axis of S.
        fill (float): Value outside.

    Returns:
        np.ndarray: shape (*lead, *patch_size), a contiguous copy.
    """
    size = array.shape[array.ndim - len(start) :]
    source: list[Any] = []
    place: list[Any] = []
    for first, length, have in zip(start, patch_size, size, strict=True):
        low, high = max(first, 0), min(first + length, have)
        source.append(slice(low, max(high, low)))
        place.append(slice(low - first, max(high, low) - first))
    cut = array[(..., *source)]
    lead = array.shape[: array.ndim - len(start)]
    if cut.shape == (*lead, *patch_size):
        return np.array(cut, order='C')
    patch = np.full((*lead, *patch_size), fill, array.dtype)
    patch[(..., *place)] = cut
    return patch


def _present_classes(labels: np.ndarray | ClassLocations, rank: int, ignore_index: int) -> list[int]:
    if not isinstance(labels, np.ndarray):
        return sorted(int(k) for k, voxels in labels.items() if len(voxels))
    if labels.ndim == rank + 1:
        return [k for k, mask in enumerate(labels) if (mask == 1).any()]
    counts = np.bincount(labels.ravel(order='K'))
    return [int(k) for k in np.flatnonzero(counts) if k not in (0, ignore_index)]


def _draw_class(present: Sequence[int], class_probs: Mapping[int, float] | None) -> int | None:
    weights = np.array([1.0 if class_probs is None else class_probs.get(k, 0.0) for k in present])
    if not weights.sum() > 0:
        return None
    shares = np.cumsum(weights / weights.sum())
    return present[min(int(np.searchsorted(shares, np.random.random_sample(), side='right')), len(present) - 1)]


def _draw_voxel(labels: np.ndarray | ClassLocations, drawn: int, rank: int) -> tuple[int, ...]:
    if not isinstance(labels, np.ndarray):
        voxels = labels[drawn]
        return tuple(int(i) for i in voxels[np.random.randint(len(voxels))])
    mask = labels[drawn] == 1 if labels.ndim == rank + 1 else labels == drawn
    voxels = np.flatnonzero(mask)
    place = np.unravel_index(int(voxels[np.random.randint(len(voxels))]), mask.shape)
    return tuple(int(i) for i in place)
