"""Means of the probabilities of several networks and of mirrored images."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence

from torch import Tensor

from mmseg_medical.geometry import Frame

#: maps a batch (N, C, *S) to scores (N, K, *S); gets a frame of each image too where the head asks for them
Network = Callable[..., Tensor]


def averaged(
    networks: Sequence[Network], activate: Callable[[Tensor, int], Tensor], mirror_axes: Sequence[int] = ()
) -> Network:
    """Make one network of several, and of mirrored views of its input.

    Args:
        networks (Sequence[callable]): each maps (N, C, *S), and frames where there are any, to logits (N, K, *S).
        activate (callable): Logits and the axis of the classes to probabilities.
        mirror_axes (Sequence[int]): Spatial axes, from 0; the views are mirrored along every subset of them, 2^n views.

    Returns:
        callable: (N, C, *S), and the frames if the networks take them, to the mean probabilities (N, K, *S).
    """
    views = [
        [axis + 2 for axis in subset]
        for number in range(len(mirror_axes) + 1)
        for subset in itertools.combinations(sorted(mirror_axes), number)
    ]

    def mean(inputs: Tensor, *frames: Sequence[Frame]) -> Tensor:
        parts = (_seen_in(network, inputs, frames, axes, activate) for network in networks for axes in views)
        total = next(parts)
        for part in parts:
            total = total.add_(part)
        return total.div_(len(networks) * len(views))

    return mean


def _seen_in(
    network: Network,
    inputs: Tensor,
    frames: Sequence[Sequence[Frame]],
    axes: list[int],
    activate: Callable[[Tensor, int], Tensor],
) -> Tensor:
    if not axes:
        return activate(network(inputs, *frames), 1)
    mirrored = [[frame.mirrored([axis - 2 for axis in axes], inputs.shape[2:]) for frame in each] for each in frames]
    return activate(network(inputs.flip(axes), *mirrored), 1).flip(axes)
