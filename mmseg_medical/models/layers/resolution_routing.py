"""Which level of RARE-UNet an image enters, and the margin it needs there."""

from __future__ import annotations

import math
from collections.abc import Sequence

Size = tuple[int, ...]


class RoutingError(ValueError):
    """No level takes an image of this size or spacing."""


def nearest_level(ratios: Sequence[float], num_gates: int, tolerance: float = 1.0, subject: str = 'the image') -> int:
    """Choose the level whose resolution is nearest, by the mean of ``|log2(ratio) - level|`` over the axes.

    Args:
        ratios (Sequence[float]): For each axis how much coarser the image is than full resolution: the full size
            divided by its size, or its spacing by the full one.
        num_gates (int): Number S of levels below full resolution.
        tolerance (float): Largest mean error that is accepted; 1 is a factor of 2.
        subject (str): What the error calls the image.

    Returns:
        int: The level, 0..S; the finer one of two that are equally near.

    Raises:
        RoutingError: None is within the tolerance.

    Example:
        >>> nearest_level([32 / 17, 64 / 30, 32 / 16], num_gates=3)
        1
    """
    logs = [math.log2(ratio) for ratio in ratios]
    errors = [sum(abs(log - d) for log in logs) / len(logs) for d in range(num_gates + 1)]
    level = min(range(num_gates + 1), key=errors.__getitem__)
    if errors[level] > tolerance:
        steps = ' x '.join(f'{ratio:.3g}' for ratio in ratios)
        raise RoutingError(
            f'{subject} is {steps} times as coarse as full resolution; the nearest level, {level}, expects {2**level} '
            f'(mean error {errors[level]:.2f} octaves, tolerance {tolerance:g}). Bring it to the size or spacing of '
            'the training images, raise routing.tolerance, or force a level with routing.level.'
        )
    return level


def margins(size: Sequence[int], divisor: int, min_voxels: int = 2) -> tuple[tuple[int, int], ...]:
    """Voxels to put before and behind each axis so that a path can halve it without a rest.

    The odd one goes behind. Where fewer than ``min_voxels`` were left at the bottom, the axis that is longest there
    gets longer, the first of equal ones.

    Args:
        size (Sequence[int]): Of the image.
        divisor (int): What the path divides sizes by.
        min_voxels (int): Least number of voxels at the bottom; an instance norm needs two.

    Example:
        >>> margins((35, 51, 35), 32)
        ((14, 15), (6, 7), (14, 15))
    """
    bottom = [max(1, -(-n // divisor)) for n in size]
    longest = max(range(len(size)), key=lambda axis: (bottom[axis], size[axis], -axis))
    while math.prod(bottom) < min_voxels:
        bottom[longest] += 1
    missing = [b * divisor - n for b, n in zip(bottom, size, strict=True)]
    return tuple((m // 2, m - m // 2) for m in missing)


def power_of_two(size: Sequence[int]) -> Size:
    """Each length rounded to the power of two that is nearest in the exponent.

    Example:
        >>> power_of_two((5, 6, 45, 46))
        (4, 8, 32, 64)
    """
    return tuple(2 ** round(math.log2(n)) for n in size)


def strict_level(size: Sequence[int], target: Sequence[int], num_gates: int, num_divisions: int) -> int:
    """Choose the level as the release does: rounded to powers of two, the size must be that of a level.

    The release then runs the image as it is, and crashes unless the path can halve it without a rest; here that is an
    error beforehand, which says what would happen.

    Args:
        size (Sequence[int]): Of the image.
        target (Sequence[int]): Of images at full resolution.
        num_gates (int): Number S of levels below it.
        num_divisions (int): Number L of divisions of the network.

    Returns:
        int: The level, 0..S.

    Raises:
        RoutingError: No level is of the rounded size, or its path fails.
    """
    levels = {tuple(n // 2**d for n in target): d for d in range(num_gates + 1)}
    level = levels.get(power_of_two(size))
    if level is None:
        allowed = ', '.join(map(str, levels))
        raise RoutingError(
            f'size {tuple(size)} is rounded to {power_of_two(size)}, which is the size of no level ({allowed}); '
            'without routing.strict the nearest level takes it'
        )
    reason = path_failure(size, num_divisions - level)
    if reason:
        raise RoutingError(
            f'size {tuple(size)} is taken for level {level}, whose path fails: {reason}. Without routing.strict the '
            'image is padded to fit'
        )
    return level


def path_failure(size: Sequence[int], divisions: int) -> str | None:
    """Say why a path cannot go down ``divisions`` halvings and up again as it is released, None if it can.

    Example:
        >>> path_failure((35, 51, 35), 5)
        'the instance norm after 5 halvings has a single voxel'
    """
    sizes = [tuple(size)]
    for d in range(1, divisions + 1):
        sizes.append(tuple(n // 2 for n in sizes[-1]))
        if 0 in sizes[-1]:
            return f'halving number {d} of size {sizes[-2]} leaves an axis of length 0'
        if math.prod(sizes[-1]) == 1:
            return f'the instance norm after {d} halvings has a single voxel'
    for coarse, fine in reversed(list(zip(sizes[1:], sizes[:-1], strict=True))):
        doubled = tuple(2 * n for n in coarse)
        if doubled != fine:
            return f'a map of size {doubled} meets a skip of size {fine}'
    return None
