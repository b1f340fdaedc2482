"""Heads that evaluate a function of position and feature at every point of a grid, in chunks."""

from __future__ import annotations

import itertools
import math
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from mmseg_medical.errors import ConfigError
from mmseg_medical.geometry import Frame
from mmseg_medical.models.layers.aligned import resize_aligned
from mmseg_medical.models.layers.conv_blocks import resize
from mmseg_medical.models.layers.grid_points import frame_lines, grid_coordinates, grid_places, sample_points

_CONVOLVE = {2: F.conv2d, 3: F.conv3d}


class PointwiseHead(nn.Module, ABC):
    """Base of implicit heads: logits as a function of a point's coordinates and its feature.

    The memory beyond features and logits does not grow with the grid: points are evaluated ``chunk_points`` at a
    time, and in training each chunk is computed again for its gradient (Chen et al. 2016, arXiv:1604.06174).

    What a head does first with the feature is affine, and so is interpolation. Maps that are smaller than the grid are
    therefore projected before they are enlarged: 16 times less work at a quarter of the resolution, the same result,
    and streams are never joined.

    Args:
        in_channels (int): F of the features.
        num_classes (int): K of the logits.
        chunk_points (int): Points that are evaluated at a time, over all images of the batch; one of each image at
            least.
        spatial_dims (int): Number R of axes, 2 or 3.

    Raises:
        ConfigError: An argument is less than 1, or there are other axes.
    """

    #: size of the logits in multiples of the features', where no size is asked for
    default_scale = 1
    #: whether the corner points of grid and features coincide; otherwise the outer edges of their pixels do
    align_corners = True

    def __init__(self, in_channels: int, num_classes: int, chunk_points: int = 8192, spatial_dims: int = 2) -> None:
        super().__init__()
        if spatial_dims not in _CONVOLVE:
            raise ConfigError(f'spatial_dims of {type(self).__name__} must be 2 or 3, got {spatial_dims}')
        for name, value in (
            ('in_channels', in_channels), ('num_classes', num_classes), ('chunk_points', chunk_points)
        ):  # fmt: skip
            if value < 1:
                raise ConfigError(f'{name} of {type(self).__name__} must be at least 1, got {value}')
        self.in_channels = in_channels
        self.num_classes = num_classes
        self.chunk_points = chunk_points
        self.spatial_dims = spatial_dims

    def prepare(self, maps: list[Tensor]) -> list[Tensor]:
        """What is done with maps before points are taken; as :meth:`forward`'s features, F' channels in all."""
        return maps

    @abstractmethod
    def projection(self) -> tuple[Tensor, Tensor]:
        """Weight (D, F') and bias (D,) of the first step of the features."""

    @abstractmethod
    def decode(self, coordinates: Tensor, projected: Tensor, energy: Tensor | None) -> Tensor:
        """Logits of points.

        Args:
            coordinates (Tensor): Shape (P, R), or (N, P, R) where images have frames; the last axis first: (x, y) or
                (x, y, z), -1..1 within the frame.
            projected (Tensor): Projected features, shape (N, P, D).
            energy (Tensor | None): Shape (N, P, 1).

        Returns:
            Tensor: Shape (N, P, K), unnormalised.
        """

    def forward(
        self,
        features: Tensor | Sequence[Tensor],
        size: Sequence[int] | None = None,
        energy: Tensor | None = None,
        frames: Sequence[Frame] | None = None,
    ) -> Tensor:
        """Evaluate the head on a grid over the features.

        Args:
            features (Tensor | Sequence[Tensor]): Shape (N, F, *s); or streams (N, C_i, *s_i) with F channels in all,
                the finest first, that stand for their join at the size of the first.
            size (Sequence[int] | None): Lengths S of the grid's axes; None for ``default_scale`` times the features'.
            energy (Tensor | None): Shape (N, 1, *s'), of heads that can be gated by it; see their docstrings.
            frames (Sequence[Frame] | None): Where the features of each image lie in its case. None: the coordinates
                of the grid itself go from -1 to 1.

        Returns:
            Tensor: Logits of shape (N, K, *S), unnormalised.

        Raises:
            ConfigError: The features do not have the channels the head was built for, the energy is of another
                shape, there is not one frame for each image, or the size is empty.
        """
        maps = self._checked(features)
        grid = self._grid(maps[0], size)
        if energy is not None and (energy.ndim != maps[0].ndim or energy.shape[:2] != (len(maps[0]), 1)):
            wanted = ', '.join(self._axis_names)
            raise ConfigError(f'energy must have shape ({len(maps[0])}, 1, {wanted}), got {tuple(energy.shape)}')
        if frames is not None and len(frames) != len(maps[0]):
            raise ConfigError(f'{len(maps[0])} images need as many frames, got {len(frames)}')
        lines = None if frames is None else frame_lines(frames, maps[0].shape[2:], maps[0], self.align_corners)
        source, projected = self._sources(self.prepare(maps), grid)
        points = math.prod(grid)
        step = max(1, self.chunk_points // max(1, len(maps[0])))
        starts = range(0, points, step)
        pieces: Sequence[Tensor | None] = [source] * len(starts)
        if source is not None and tuple(source.shape[2:]) == grid:
            # views of one split, whose gradients are joined once instead of being added to a full map each
            pieces = source.flatten(2).split(step, dim=2)
        again = torch.is_grad_enabled() and len(starts) > 1

        def logits() -> Iterator[Tensor]:
            for start, piece in zip(starts, pieces, strict=True):
                places = self._where(grid, start, min(start + step, points), maps[0], lines)
                arguments = (*places, piece, projected, energy)
                if again:
                    yield checkpoint(self._points, *arguments, use_reentrant=False, preserve_rng_state=False)
                else:
                    yield self._points(*arguments)

        return _joined(logits(), points).unflatten(2, grid)

    def _where(
        self, grid: tuple[int, ...], start: int, stop: int, first: Tensor, lines: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """Coordinates of points, and the places (P, R) where features are sampled."""
        places = grid_places(grid, start, stop, first, self.align_corners)
        if lines is not None:
            return lines[0] + lines[1] * places, places
        return (places if self.align_corners else grid_coordinates(grid, start, stop, first)), places

    def _sources(self, maps: list[Tensor], grid: tuple[int, ...]) -> tuple[Tensor | None, list[Tensor]]:
        """A map that is projected point by point, and maps (N, D, *s_i) that were projected before.

        The first map comes first in the weight. At the size of the grid it is not projected before, because that
        would be the largest map of all; nor are maps that projection makes wider, which interpolation pays for.
        """
        weight = self.projection()[0]
        same = tuple(maps[0].shape[2:]) == grid
        if weight.shape[0] > weight.shape[1]:
            return torch.cat([self._enlarged(x, maps[0].shape[2:]) for x in maps], dim=1) if maps[1:] else maps[0], []
        parts = weight.unflatten(1, (-1, *(1,) * self.spatial_dims)).split([x.shape[1] for x in maps], dim=1)
        convolve = _CONVOLVE[self.spatial_dims]
        projected = [convolve(x, part) for x, part in list(zip(maps, parts, strict=True))[same:]]
        if same:
            return maps[0], projected
        joined = projected[0]
        for x in projected[1:]:
            joined = joined + self._enlarged(x, joined.shape[2:])
        return None, [joined]

    def _enlarged(self, x: Tensor, size: Sequence[int]) -> Tensor:
        return resize_aligned(x, size) if self.align_corners else resize(x, size)

    def _points(
        self, coordinates: Tensor, places: Tensor, source: Tensor | None, maps: list[Tensor], energy: Tensor | None
    ) -> Tensor:
        """Logits (N, K, P) of a chunk.

        ``source`` (N, C, P) has the features of its points, or (N, C, *s) those that they are interpolated from.
        """
        weight, projected = self.projection()
        if source is not None:
            values = source.transpose(1, 2) if source.ndim == 3 else sample_points(source, places, self.align_corners)
            projected = F.linear(values.to(weight.dtype), weight[:, : values.shape[2]], projected)
        for x in maps:
            projected = projected + sample_points(x, places, self.align_corners)
        gate = None if energy is None else sample_points(energy, places, self.align_corners)
        return self.decode(coordinates, projected, gate).transpose(1, 2)

    def _checked(self, features: Tensor | Sequence[Tensor]) -> list[Tensor]:
        maps = [features] if isinstance(features, Tensor) else list(features)
        wrong = any(x.ndim != self.spatial_dims + 2 for x in maps)
        if wrong or sum(x.shape[1] for x in maps) != self.in_channels:
            raise ConfigError(
                f'{type(self).__name__} was built for features of {self.in_channels} channels, shape '
                f'(N, C, {", ".join(self._axis_names)}), got {" and ".join(str(tuple(x.shape)) for x in maps)}; '
                'set its in_channels'
            )
        return maps

    @property
    def _axis_names(self) -> str:
        return 'dhw'[-self.spatial_dims :]

    def _grid(self, first: Tensor, size: Sequence[int] | None) -> tuple[int, ...]:
        if size is None:
            size = [n * self.default_scale for n in first.shape[2:]]
        if len(size) != self.spatial_dims or min(size) < 1:
            lengths = 'two' if self.spatial_dims == 2 else 'three'
            raise ConfigError(f'the size of the logits must be {lengths} lengths of at least 1, got {tuple(size)}')
        return tuple(int(n) for n in size)


def _joined(pieces: Iterator[Tensor], points: int) -> Tensor:
    """Pieces (N, K, p) side by side, (N, K, points)."""
    first = next(pieces)
    if first.shape[2] == points:
        return first
    if torch.is_grad_enabled() or torch.compiler.is_compiling():
        return torch.cat([first, *pieces], dim=2)
    whole = first.new_empty((*first.shape[:2], points))  # torch.cat would hold all pieces beside their join
    start = 0
    for piece in itertools.chain((first,), pieces):
        whole[..., start : start + piece.shape[2]] = piece
        start += piece.shape[2]
    return whole
