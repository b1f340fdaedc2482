"""A U-Net for a data set: spacing, patch, levels, batch, normalisation.

The order of the decisions is that of nnU-Net (Isensee et al. 2021, doi:10.1038/s41592-020-01008-z); the rules are
written out in ``docs/decathlon.md``.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from mmseg_medical.datasets.fingerprint.unet_memory import training_bytes
from mmseg_medical.errors import ConfigError
from mmseg_medical.geometry.resampling import ANISOTROPY

# Share of the memory that is planned with: the rest is for the driver and the workspaces of convolutions.
_USABLE = 0.8
_MOST_LEVELS = 5
_WIDTHS = (32, 64, 128, 256, 320, 320)
_SMALLEST = 4  # voxels along an axis that a division must leave
_COARSE = 2.0  # an axis of more than this times the finest spacing is neither divided nor convolved
# A batch sees no more of the data set than this, or the same voxels come again too soon.
_MOST_OF_THE_DATA = 0.05
_SMALLEST_BATCH = 2
_SKULL_STRIPPED = 0.25


def propose(fingerprint: Mapping[str, Any], memory_gib: float, num_classes: int) -> dict[str, Any]:
    """Propose how to set up a U-Net.

    Args:
        fingerprint (Mapping): Of :func:`~mmseg_medical.datasets.fingerprint.summarise`, with measured cases.
        memory_gib (float): Of the device that trains.
        num_classes (int): With the background.

    Returns:
        dict: ``spacing_mm`` (None where the files have none), ``median_size`` at this spacing, ``patch_size``,
        ``batch_size``, ``num_levels``, ``channels``, ``strides``, ``kernels``, ``normalization``, ``inference`` (mode
        'whole' or 'slide'), ``memory_gib`` and ``estimated_gib``.

    Raises:
        ConfigError: The memory does not suffice for two patches of any size.
    """
    cases = list(fingerprint['cases'].values())
    spacing = target_spacing([case['spacing_ras_mm'] for case in cases])
    sizes = np.array([_resampled(case, spacing) for case in cases])
    median = [max(1, round(n)) for n in np.median(sizes, axis=0)]
    in_channels = len(fingerprint['intensity'])
    usable = _USABLE * memory_gib * 2**30
    relative = spacing or [1.0] * len(median)

    patch = list(median)
    longest = int(np.argmax(patch))
    patch[longest] = max(patch[longest], _SMALLEST)  # so that two voxels are left for the norm at the bottleneck
    while True:
        strides, kernels = plan_levels(patch, relative)
        divisors = np.prod([[1] * len(patch), *strides], axis=0)
        patch = [int(math.ceil(n / d) * d) for n, d in zip(patch, divisors, strict=True)]
        network = (in_channels, num_classes, _WIDTHS[: len(strides) + 1], strides, kernels)
        if training_bytes(patch, _SMALLEST_BATCH, *network) <= usable:
            break
        patch = _smaller(patch, median, divisors, memory_gib)
    fixed = training_bytes(patch, 0, *network)
    fitting = int((usable - fixed) // (training_bytes(patch, 1, *network) - fixed))
    enough = int(_MOST_OF_THE_DATA * sizes.prod(axis=1).sum() / math.prod(patch))
    batch = max(_SMALLEST_BATCH, min(fitting, enough))
    return dict(
        spacing_mm=spacing,
        median_size=median,
        largest_size=[int(n) for n in sizes.max(axis=0)],
        patch_size=patch,
        batch_size=batch,
        num_levels=len(strides),
        channels=list(_WIDTHS[: len(strides) + 1]),
        strides=strides,
        kernels=kernels,
        normalization=_normalization(fingerprint),
        inference='whole' if sizes.prod(axis=1).max() <= 2 * math.prod(patch) else 'slide',
        memory_gib=memory_gib,
        estimated_gib=round(training_bytes(patch, batch, *network) / 2**30, 3),
    )


def target_spacing(spacings: Sequence[Sequence[float] | None]) -> list[float] | None:
    """Choose the spacing to resample to.

    Args:
        spacings (Sequence): Of each case, in mm, axes in one order; None for a file without.

    Returns:
        list[float] | None: The median along each axis. Where the coarsest is more than three times the finest, its
        10th percentile, but no less than the next coarser axis. None if a case has none: the files are then taken as
        they are.
    """
    known = [spacing for spacing in spacings if spacing is not None]
    if len(known) < len(spacings) or not known:
        return None
    spacing = np.median(known, axis=0)
    coarse = int(spacing.argmax())
    if spacing[coarse] > ANISOTROPY * spacing.min():
        others = np.delete(spacing, coarse)
        spacing[coarse] = max(np.percentile(np.array(known)[:, coarse], 10), others.max())
    return [float(f'{length:.4g}') for length in spacing]


def plan_levels(patch: Sequence[int], spacing: Sequence[float]) -> tuple[list[list[int]], list[list[int]]]:
    """Plan how a U-Net divides a patch.

    An axis is halved while four voxels are left, and not before the spacing of the others has come within a factor of
    two of its own; until then kernels have one voxel along it.

    Args:
        patch (Sequence[int]): Voxels along each axis.
        spacing (Sequence[float]): Along each axis, in any unit.

    Returns:
        tuple: Strides after each level, at least one; kernels of each level and the bottleneck.

    >>> plan_levels((40, 56, 40), (1, 1, 1))[0]
    [[2, 2, 2], [2, 2, 2], [2, 2, 2]]
    >>> plan_levels((64, 64, 8), (1, 1, 5))[0]
    [[2, 2, 1], [2, 2, 1], [2, 2, 2], [2, 2, 1]]
    """
    size, lengths = list(patch), list(spacing)
    strides: list[list[int]] = []
    kernels = [_kernel(lengths)]
    while len(strides) < _MOST_LEVELS:
        divisible = [axis for axis, n in enumerate(size) if n >= 2 * _SMALLEST]
        if not divisible and strides:
            break
        finest = min(lengths[axis] for axis in divisible) if divisible else 0
        # of a tiny patch the longest axis: a U-Net has at least one level
        chosen = [a for a in divisible if lengths[a] < _COARSE * finest] or [int(np.argmax(size))]
        strides.append([2 if axis in chosen else 1 for axis in range(len(size))])
        size = [max(1, n // stride) for n, stride in zip(size, strides[-1], strict=True)]
        lengths = [length * stride for length, stride in zip(lengths, strides[-1], strict=True)]
        kernels.append(_kernel(lengths))
    return strides, kernels


def _kernel(lengths: Sequence[float]) -> list[int]:
    return [1 if length > _COARSE * min(lengths) else 3 for length in lengths]


def _resampled(case: Mapping[str, Any], spacing: Sequence[float] | None) -> list[int]:
    if spacing is None:
        return list(case['size_ras'])
    axes = zip(case['size_ras'], case['spacing_ras_mm'], spacing, strict=True)
    return [max(1, round(n * have / want)) for n, have, want in axes]


def _smaller(patch: Sequence[int], median: Sequence[int], divisors: np.ndarray, memory_gib: float) -> list[int]:
    """Shorten the axis that covers most of the median image, so that the shape of the patch follows it."""
    axes = [axis for axis, n in enumerate(patch) if n > max(divisors[axis], 2 * _SMALLEST)]
    if not axes:
        raise ConfigError(
            f'{memory_gib:g} GiB do not suffice to train a U-Net on two patches of {"x".join(map(str, patch))}; '
            'give more memory, or use a smaller network'
        )
    axis = max(axes, key=lambda a: (patch[a] / median[a], patch[a]))
    smaller = list(patch)
    smaller[axis] -= int(divisors[axis])
    return smaller


def _normalization(fingerprint: Mapping[str, Any]) -> dict[str, Any]:
    """Arguments of ``NormalizeIntensity``: numbers of the data set for CT, of the image for all else."""
    pooled = [one['pooled_foreground'] for one in fingerprint['intensity'].values()]
    tomography = all('ct' in name.lower().split() for name in fingerprint['intensity'])
    if tomography and all(one is not None and one['std'] > 0 for one in pooled):
        low, high = min(one['p0_5'] for one in pooled), max(one['p99_5'] for one in pooled)
        means, stds = [one['mean'] for one in pooled], [one['std'] for one in pooled]
        return dict(mode='zscore', clip=_short(low, high), mean=_short(*means), std=_short(*stds))
    found = dict(mode='zscore', percentiles=[0.5, 99.5])
    if fingerprint['zero_share']['median'] > _SKULL_STRIPPED:
        found['region'] = 'nonzero'
    return found


def _short(*values: float) -> list[float]:
    return [float(f'{value:.6g}') for value in values]
