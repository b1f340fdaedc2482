"""Points of a grid that lies over feature maps: coordinates, places in the maps, values there."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from mmseg_medical.geometry import Frame


def grid_coordinates(size: Sequence[int], start: int, stop: int, like: Tensor) -> Tensor:
    """Coordinates of the points ``start..stop - 1`` of a grid in raster order.

    Args:
        size (Sequence[int]): Lengths of the R axes of the grid; its corners are at -1 and 1.
        start (int): First flat index.
        stop (int): Flat index behind the last.
        like (Tensor): Gives device and dtype; float32 at least.

    Returns:
        Tensor: Shape (stop - start, R), the last axis first: (x, y) or (x, y, z). An axis with one point has it at -1,
        as ``torch.linspace`` does.

    Example:
        >>> grid_coordinates((2, 3), 1, 5, torch.empty(0)).tolist()
        [[0.0, -1.0], [1.0, -1.0], [-1.0, 1.0], [0.0, 1.0]]
    """
    axes = [i * (2 / max(n - 1, 1)) - 1 for i, n in _indices(size, start, stop, like)]
    return torch.stack(axes, dim=1)


def grid_places(size: Sequence[int], start: int, stop: int, like: Tensor, align_corners: bool) -> Tensor:
    """Where features are sampled for the points of a grid, as ``grid_sample`` counts.

    Arguments as of :func:`grid_coordinates`, whose result it is with ``align_corners``. Otherwise -1 and 1 are the
    outer edges of the first and last pixel, so that both grids have one field of view.

    Returns:
        Tensor: Shape (stop - start, R), the last axis first.
    """
    if align_corners:
        return grid_coordinates(size, start, stop, like)
    return torch.stack([(2 * i + 1) / n - 1 for i, n in _indices(size, start, stop, like)], dim=1)


def frame_lines(frames: Sequence[Frame], features: Sequence[int], like: Tensor, align_corners: bool) -> Tensor:
    """How places of points become coordinates within the case of each image.

    Args:
        frames (Sequence[Frame]): Of the features of N images.
        features (Sequence[int]): Size of the feature maps, whose pixels the frames count in.
        like (Tensor): Gives device and dtype; float32 at least.
        align_corners (bool): As of :func:`grid_places`.

    Returns:
        Tensor: Shape (2, N, 1, R), origin and slope: coordinates are ``origin + slope * places``, the last axis first.
    """
    lines: list[list[list[float]]] = [[], []]
    for frame in frames:
        axes = list(zip(frame.first, frame.step, features, strict=True))[::-1]
        lines[0].append([first + step * (n - 1) / 2 for first, step, n in axes])
        lines[1].append([step * (n - 1 if align_corners else n) / 2 for _, step, n in axes])
    dtype = torch.promote_types(like.dtype, torch.float32)
    return torch.tensor(lines, dtype=dtype).to(like.device)[:, :, None]


def sample_points(maps: Tensor, places: Tensor, align_corners: bool = True) -> Tensor:
    """Linear interpolation in maps.

    Args:
        maps (Tensor): Shape (N, C, *s), two or three axes.
        places (Tensor): Shape (P, R), see :func:`grid_places`, float32 or float64.
        align_corners (bool): As of the places.

    Returns:
        Tensor: Shape (N, P, C), in the places' dtype. Outside the maps it is that of their edge.
    """
    axes = maps.ndim - 2
    grid = places.reshape(*(1,) * axes, *places.shape).expand(len(maps), *(-1,) * (axes + 1))
    # with border padding, places that rounding moves outside keep the value of the edge
    values = F.grid_sample(maps.to(grid.dtype), grid, padding_mode='border', align_corners=align_corners)
    return values.flatten(2).transpose(1, 2)


def _indices(size: Sequence[int], start: int, stop: int, like: Tensor) -> list[tuple[Tensor, int]]:
    """Index along each axis, the last axis first, and its length."""
    # in half precision neighbouring columns of a large map would share a coordinate
    dtype = torch.promote_types(like.dtype, torch.float32)
    index = torch.arange(start, stop, device=like.device)
    axes = []
    for n in reversed(size):
        axes.append(((index % n).to(dtype), n))
        index = index.div(n, rounding_mode='floor')
    return axes
