"""Heads that evaluate a function of position and feature at every point of a grid, in chunks."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from mmseg_medical.errors import ConfigError
from mmseg_medical.models.layers.aligned import concat_aligned, resize_aligned


def grid_coordinates(size: tuple[int, int], start: int, stop: int, like: Tensor) -> Tensor:
    """Coordinates of the points ``start..stop - 1`` of a grid in raster order.

    Args:
        size (tuple[int, int]): Rows H and columns W of the grid; its corners are at -1 and 1.
        start (int): First flat index.
        stop (int): Flat index behind the last.
        like (Tensor): Gives device and dtype; float32 at least.

    Returns:
        Tensor: Shape (stop - start, 2), order (x, y): column first. An axis with one point has it at -1, as
        ``torch.linspace`` does.

    Example:
        >>> grid_coordinates((2, 3), 1, 5, torch.empty(0)).tolist()
        [[0.0, -1.0], [1.0, -1.0], [-1.0, 1.0], [0.0, 1.0]]
    """
    index = torch.arange(start, stop, device=like.device)
    # in half precision neighbouring columns of a large map would share a coordinate
    dtype = torch.promote_types(like.dtype, torch.float32)
    axes = (index % size[1], size[1]), (index.div(size[1], rounding_mode='floor'), size[0])
    return torch.stack([i.to(dtype) * (2 / max(n - 1, 1)) - 1 for i, n in axes], dim=1)


def sample_points(maps: Tensor, coordinates: Tensor) -> Tensor:
    """Bilinear values of maps at points, corners aligned.

    Args:
        maps (Tensor): Shape (N, C, h, w).
        coordinates (Tensor): Shape (P, 2), order (x, y), -1..1, float32 or float64.

    Returns:
        Tensor: Shape (N, P, C), in the coordinates' dtype.
    """
    grid = coordinates[None, None].expand(len(maps), -1, -1, -1)
    # with border padding, coordinates that rounding moves outside keep the value of the edge
    values = F.grid_sample(maps.to(grid.dtype), grid, padding_mode='border', align_corners=True)
    return values[:, :, 0].transpose(1, 2)


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

    Raises:
        ConfigError: An argument is less than 1.
    """

    #: size of the logits in multiples of the features', where no size is asked for
    default_scale = 1

    def __init__(self, in_channels: int, num_classes: int, chunk_points: int = 8192) -> None:
        super().__init__()
        for name, value in (
            ('in_channels', in_channels), ('num_classes', num_classes), ('chunk_points', chunk_points)
        ):  # fmt: skip
            if value < 1:
                raise ConfigError(f'{name} of {type(self).__name__} must be at least 1, got {value}')
        self.in_channels = in_channels
        self.num_classes = num_classes
        self.chunk_points = chunk_points

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
            coordinates (Tensor): Shape (P, 2), order (x, y), -1..1.
            projected (Tensor): Projected features, shape (N, P, D).
            energy (Tensor | None): Shape (N, P, 1).

        Returns:
            Tensor: Shape (N, P, K), unnormalised.
        """

    def forward(
        self,
        features: Tensor | Sequence[Tensor],
        size: tuple[int, int] | None = None,
        energy: Tensor | None = None,
    ) -> Tensor:
        """Evaluate the head on a grid whose corners are those of the features.

        Args:
            features (Tensor | Sequence[Tensor]): Shape (N, F, h, w); or streams (N, C_i, h_i, w_i) with F channels in
                all, the finest first, that stand for their join at the size of the first.
            size (tuple[int, int] | None): Rows H and columns W of the grid; None for ``default_scale`` times the
                features' size.
            energy (Tensor | None): Shape (N, 1, h', w'), of heads that can be gated by it; see their docstrings.

        Returns:
            Tensor: Logits of shape (N, K, H, W), unnormalised.

        Raises:
            ConfigError: The features do not have the channels the head was built for, the energy is of another
                shape, or the size is empty.
        """
        maps = self._checked(features)
        height, width = grid = self._grid(maps[0], size)
        if energy is not None and (energy.ndim != 4 or energy.shape[:2] != (len(maps[0]), 1)):
            raise ConfigError(f'energy must have shape ({len(maps[0])}, 1, h, w), got {tuple(energy.shape)}')
        source, projected = self._sources(self.prepare(maps), grid)
        step = max(1, self.chunk_points // max(1, len(maps[0])))
        starts = range(0, height * width, step)
        pieces: Sequence[Tensor | None] = [source] * len(starts)
        if source is not None and tuple(source.shape[2:]) == grid:
            # views of one split, whose gradients are joined once instead of being added to a full map each
            pieces = source.flatten(2).split(step, dim=2)
        again = torch.is_grad_enabled() and len(starts) > 1
        logits = []
        for start, piece in zip(starts, pieces, strict=True):
            coordinates = grid_coordinates(grid, start, min(start + step, height * width), maps[0])
            arguments = (coordinates, piece, projected, energy)
            logits.append(
                checkpoint(self._points, *arguments, use_reentrant=False, preserve_rng_state=False)
                if again
                else self._points(*arguments)
            )
        return torch.cat(logits, dim=2).unflatten(2, grid)

    def _sources(self, maps: list[Tensor], grid: tuple[int, int]) -> tuple[Tensor | None, list[Tensor]]:
        """A map that is projected point by point, and maps (N, D, h_i, w_i) that were projected before.

        The first map comes first in the weight. At the size of the grid it is not projected before, because that
        would be the largest map of all; nor are maps that projection makes wider, which interpolation pays for.
        """
        weight = self.projection()[0]
        same = tuple(maps[0].shape[2:]) == grid
        if weight.shape[0] > weight.shape[1]:
            return maps[0] if len(maps) == 1 else concat_aligned(maps), []
        parts = weight[:, :, None, None].split([x.shape[1] for x in maps], dim=1)
        projected = [F.conv2d(x, part) for x, part in list(zip(maps, parts, strict=True))[same:]]
        if same:
            return maps[0], projected
        joined = projected[0]
        for x in projected[1:]:
            joined = joined + resize_aligned(x, joined.shape[2:])
        return None, [joined]

    def _points(self, coordinates: Tensor, source: Tensor | None, maps: list[Tensor], energy: Tensor | None) -> Tensor:
        """Logits (N, K, P) of a chunk.

        ``source`` (N, C, P) has the features of its points, or (N, C, h, w) those that they are interpolated from.
        """
        weight, projected = self.projection()
        if source is not None:
            values = source.transpose(1, 2) if source.ndim == 3 else sample_points(source, coordinates)
            projected = F.linear(values.to(weight.dtype), weight[:, : values.shape[2]], projected)
        for x in maps:
            projected = projected + sample_points(x, coordinates)
        gate = None if energy is None else sample_points(energy, coordinates)
        return self.decode(coordinates, projected, gate).transpose(1, 2)

    def _checked(self, features: Tensor | Sequence[Tensor]) -> list[Tensor]:
        maps = [features] if isinstance(features, Tensor) else list(features)
        if any(x.ndim != 4 for x in maps) or sum(x.shape[1] for x in maps) != self.in_channels:
            raise ConfigError(
                f'{type(self).__name__} was built for features of {self.in_channels} channels, shape (N, C, h, w), got '
                f'{" and ".join(str(tuple(x.shape)) for x in maps)}; set its in_channels'
            )
        return maps

    def _grid(self, first: Tensor, size: tuple[int, int] | None) -> tuple[int, int]:
        if size is None:
            size = first.shape[2] * self.default_scale, first.shape[3] * self.default_scale
        if len(size) != 2 or min(size) < 1:
            raise ConfigError(f'the size of the logits must be two lengths of at least 1, got {tuple(size)}')
        return int(size[0]), int(size[1])
