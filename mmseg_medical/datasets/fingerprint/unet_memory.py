"""How much memory it takes to train a U-Net, by formula."""

from __future__ import annotations

import math
from collections.abc import Sequence

# weight, gradient and two moments of Adam, in single precision
_BYTES_A_PARAMETER = 16
_BYTES_A_VALUE = 4


def count_parameters(
    in_channels: int,
    num_classes: int,
    channels: Sequence[int],
    strides: Sequence[Sequence[int]],
    kernels: Sequence[Sequence[int]],
) -> int:
    """Count the parameters of ``MedicalUNet`` with its defaults and a ``VolumeHead``.

    Args:
        in_channels (int): Of the image.
        num_classes (int): Of the head.
        channels (Sequence[int]): Of the levels, the bottleneck last.
        strides (Sequence[Sequence[int]]): Between them.
        kernels (Sequence[Sequence[int]]): Of each level and the bottleneck.
    """

    def unit(source: int, target: int, kernel: Sequence[int]) -> int:
        return source * target * math.prod(kernel) + 3 * target  # bias; scale and shift of the norm

    total = num_classes * (channels[0] + 1)
    for d, (width, kernel) in enumerate(zip(channels, kernels, strict=True)):
        total += unit(channels[d - 1] if d else in_channels, width, kernel) + unit(width, width, kernel)
        if d < len(strides):
            total += channels[d + 1] * width * math.prod(strides[d]) + width
            total += unit(2 * width, width, kernel) + unit(width, width, kernel)
    return total


def saved_values(
    patch: Sequence[int],
    in_channels: int,
    num_classes: int,
    channels: Sequence[int],
    strides: Sequence[Sequence[int]],
) -> int:
    """Count the numbers of four bytes that one patch leaves for the backward pass.

    Two convolutions on the way down keep what goes into their norm and what comes out of their activation: 4 c for
    every voxel of a level with c channels; pooling keeps its result and where it came from (8 bytes): 3 c of the level
    above for every voxel below. On the way up it is 2 c for the joined maps and 4 c again. The head keeps four values
    a class: logits, their softmax, and what Dice and cross entropy make of it.

    Args:
        patch (Sequence[int]): Voxels along each axis.
        in_channels (int): Of the image.
        num_classes (int): Of the head.
        channels (Sequence[int]): Of the levels, the bottleneck last.
        strides (Sequence[Sequence[int]]): Between them.
    """
    size = list(patch)
    total = math.prod(size) * (in_channels + 4 * num_classes)
    for d, width in enumerate(channels):
        if d:
            size = [n // stride for n, stride in zip(size, strides[d - 1], strict=True)]
        a_voxel = 4 * width + (3 * channels[d - 1] if d else 0) + (6 * width if d < len(strides) else 0)
        total += math.prod(size) * a_voxel
    return total


def training_bytes(
    patch: Sequence[int],
    batch_size: int,
    in_channels: int,
    num_classes: int,
    channels: Sequence[int],
    strides: Sequence[Sequence[int]],
    kernels: Sequence[Sequence[int]],
) -> int:
    """Estimate the bytes that a step of training holds at most, in single precision.

    Parameters with gradients and Adam's moments, what is kept for the backward pass, and four maps of the finest level
    that live while gradients pass it. Workspaces of the convolutions and of the driver come on top.

    Args:
        patch (Sequence[int]): Voxels along each axis.
        batch_size (int): Patches a step.
        in_channels (int): Of the image.
        num_classes (int): Of the head.
        channels (Sequence[int]): Of the levels, the bottleneck last.
        strides (Sequence[Sequence[int]]): Between them.
        kernels (Sequence[Sequence[int]]): Of each level and the bottleneck.
    """
    parameters = count_parameters(in_channels, num_classes, channels, strides, kernels)
    values = saved_values(patch, in_channels, num_classes, channels, strides) + 4 * channels[0] * math.prod(patch)
    return _BYTES_A_PARAMETER * parameters + _BYTES_A_VALUE * batch_size * values
