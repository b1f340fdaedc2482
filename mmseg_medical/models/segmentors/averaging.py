"""Means of the probabilities of several networks and of views of the image: mirrored ones and turned ones."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from torch import Tensor

from mmseg_medical.errors import ConfigError
from mmseg_medical.geometry import Frame

#: maps a batch (N, C, *S) to scores (N, K, *S); gets a frame of each image too where the head asks for them
Network = Callable[..., Tensor]


@dataclass(frozen=True)
class View:
    """A way to look at a batch (N, C, *S): turned first, then mirrored.

    Attributes:
        quarter_turns (int): 0 to 3, of the last two axes; odd ones exchange their lengths.
        axes (tuple[int, ...]): Spatial axes, from 0, that are mirrored.
    """

    quarter_turns: int = 0
    axes: tuple[int, ...] = ()

    def see(self, batch: Tensor) -> Tensor:
        """Return the batch as the network gets it."""
        turned = batch.rot90(self.quarter_turns, (-2, -1)) if self.quarter_turns else batch
        return turned.flip(self._dims) if self.axes else turned

    def undo(self, batch: Tensor) -> Tensor:
        """Bring what a network made of the view back."""
        turned = batch.flip(self._dims) if self.axes else batch
        return turned.rot90(-self.quarter_turns, (-2, -1)) if self.quarter_turns else turned

    def frames(self, given: Sequence[Sequence[Frame]], size: Sequence[int]) -> list[list[Frame]]:
        """Return frames of the batch, whose images have this size, as those of what the network gets."""
        return [[self._frame(frame, tuple(size)) for frame in frames] for frames in given]

    def _frame(self, frame: Frame, size: tuple[int, ...]) -> Frame:
        for _ in range(self.quarter_turns):
            frame = frame.mirrored([len(size) - 1], size).transposed()
            size = (*size[:-2], size[-1], size[-2])
        return frame.mirrored(self.axes, size)

    @property
    def _dims(self) -> list[int]:
        return [axis + 2 for axis in self.axes]


AS_IT_IS = View()


def views_of(mirror_axes: Sequence[int], quarter_turns: bool, rank: int) -> list[View]:
    """List views, each once, the image as it is first.

    Args:
        mirror_axes (Sequence[int]): Spatial axes, from 0: mirrored along every subset of n axes, 2^n views.
        quarter_turns (bool): Also turned by 90, 180 and 270 degrees in the plane of the last two axes. With one mirror
            axis of two these are all 8 symmetries of a square; a second one adds none.
        rank (int): Number of spatial axes.

    Raises:
        ConfigError: The axes are not different ones of 0..rank-1.
    """
    axes = tuple(mirror_axes)
    if not all(isinstance(axis, int) and 0 <= axis < rank for axis in axes) or len(set(axes)) < len(axes):
        raise ConfigError(f'mirror axes must be different ones of 0..{rank - 1}, found {axes}')
    subsets = [s for number in range(len(axes) + 1) for s in itertools.combinations(sorted(axes), number)]
    views: dict[tuple, View] = {}
    for turns, subset in itertools.product(range(4 if quarter_turns else 1), subsets):
        plane = {rank - 2, rank - 1}
        others = tuple(axis for axis in subset if axis not in plane)
        inside = plane.intersection(subset)
        # mirrored along both axes of the plane is half a turn
        first, second = (turns + 2 * ((rank - 2) in inside)) % 4, len(inside) == 1
        views.setdefault((first, second, others), View(turns, subset))
    return list(views.values())


def averaged(
    networks: Sequence[Network], activate: Callable[[Tensor, int], Tensor], views: Sequence[View] = (AS_IT_IS,)
) -> Network:
    """Make one network of several, and of views of its input.

    Args:
        networks (Sequence[callable]): each maps (N, C, *S), and frames where there are any, to logits (N, K, *S).
        activate (callable): Logits and the axis of the classes to probabilities.
        views (Sequence[View]): See :func:`views_of`.

    Returns:
        callable: (N, C, *S), and the frames if the networks take them, to the mean probabilities (N, K, *S).
    """

    def mean(inputs: Tensor, *frames: Sequence[Frame]) -> Tensor:
        parts = (
            view.undo(activate(network(view.see(inputs), *view.frames(frames, inputs.shape[2:])), 1))
            for network in networks
            for view in views
        )
        total = next(parts)
        for part in parts:
            total = total.add_(part)
        return total.div_(len(networks) * len(views))

    return mean
