"""Linear interpolation on grids whose corner pixels coincide (``align_corners=True``)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from mmseg_medical.ops.labels import LINEAR_MODES


def resize_aligned(x: Tensor, size: Sequence[int]) -> Tensor:
    """Interpolate (N, C, *s) to (N, C, *S); ``x`` itself if it has the size."""
    if x.shape[2:] == tuple(size):
        return x
    return interpolate(x, tuple(size), mode=LINEAR_MODES[x.ndim - 2], align_corners=True)


def concat_aligned(maps: Sequence[Tensor]) -> Tensor:
    """Enlarge maps (N, C_i, h_i, w_i) to the size of the first and join them: (N, sum C_i, h_0, w_0)."""
    return torch.cat([resize_aligned(x, maps[0].shape[2:]) for x in maps], dim=1)


def sample_aligned(maps: Sequence[Tensor], index: Tensor, size: Sequence[int]) -> Tensor:
    """Sample ``concat_aligned(maps)`` at pixels of another grid without building it.

    Args:
        maps (Sequence[Tensor]): each (N, C_i, h_i, w_i).
        index (Tensor): shape (N, P), int64, flat indices of pixels of the grid ``size``.
        size (Sequence[int]): H and W of the grid whose corner pixels lie on those of the maps.

    Returns:
        Tensor: shape (N, sum C_i, P), dtype of the maps.
    """
    height, width = maps[0].shape[2:]
    rows = _scaled(index // size[1], size[0], height, maps[0])
    cols = _scaled(index % size[1], size[1], width, maps[0])
    if (height, width) == tuple(size):
        return _at_nodes(maps, rows, cols)
    return _blend(lambda r, c: _at_nodes(maps, r, c), rows, cols, (height, width))


def _at_nodes(maps: Sequence[Tensor], rows: Tensor, cols: Tensor) -> Tensor:
    """Values of the enlarged maps at whole rows and columns (N, P) of the grid of the first."""
    height, width = maps[0].shape[2:]
    sampled = []
    for x in maps:
        h, w = x.shape[2:]
        if (h, w) == (height, width):
            sampled.append(_gather(x, rows, cols))
        else:
            scaled = rows * ((h - 1) / max(height - 1, 1)), cols * ((w - 1) / max(width - 1, 1))
            sampled.append(_blend(partial(_gather, x), *scaled, (h, w)))
    return torch.cat(sampled, dim=1)


def _blend(values: Callable[[Tensor, Tensor], Tensor], rows: Tensor, cols: Tensor, size: Sequence[int]) -> Tensor:
    """Bilinear interpolation of values at whole rows and columns, to rows and columns (N, P) between them."""
    terms = []
    for corner_rows, row_weight in _neighbours(rows, size[0]):
        for corner_cols, col_weight in _neighbours(cols, size[1]):
            corner = values(corner_rows, corner_cols)
            terms.append(corner * (row_weight * col_weight)[:, None].to(corner.dtype))
    return sum(terms[1:], terms[0])


def _gather(x: Tensor, rows: Tensor, cols: Tensor) -> Tensor:
    index = rows.long() * x.shape[3] + cols.long()
    return x.flatten(2).gather(2, index[:, None].expand(-1, x.shape[1], -1))


def _neighbours(position: Tensor, length: int) -> list[tuple[Tensor, Tensor]]:
    """The two grid lines around a position, and their weights."""
    lower = position.floor().clamp(0, length - 1)
    part = position - lower
    return [(lower, 1 - part), ((lower + 1).clamp(max=length - 1), part)]


def _scaled(position: Tensor, length: int, new_length: int, like: Tensor) -> Tensor:
    # half precision cannot tell neighbouring pixels apart; the product is a whole number, exact up to 2^24
    dtype = torch.promote_types(like.dtype, torch.float32)
    return (position * (new_length - 1)).to(dtype) / max(length - 1, 1)
