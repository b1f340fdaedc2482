"""mmseg's ``PointHead`` where mmcv has no compiled operators."""

from __future__ import annotations

from typing import Any

import torch
from mmseg.models.decode_heads import point_head
from torch import Tensor
from torch.nn.functional import grid_sample


def point_sample(input: Tensor, points: Tensor, align_corners: bool = False, **options: Any) -> Tensor:
    """Sample a map at points, as ``mmcv.ops.point_sample`` does.

    Args:
        input (Tensor): shape (N, C, H, W).
        points (Tensor): shape (N, P, 2), order (x, y), 0 and 1 are the edges of the map.
        align_corners (bool): 0 and 1 are the centres of the outer pixels instead.
        **options: Of ``torch.nn.functional.grid_sample``.

    Returns:
        Tensor: shape (N, C, P), dtype of ``input``.
    """
    # coordinates in half precision would miss their pixel
    dtype = torch.promote_types(input.dtype, points.dtype)
    grid = 2 * points.to(dtype)[:, :, None] - 1
    return grid_sample(input.to(dtype), grid, align_corners=align_corners, **options)[..., 0].to(input.dtype)


# mmseg leaves None where the import failed, and its PointHead then refuses to be built: the only thing it lacks.
if point_head.point_sample is None:
    point_head.point_sample = point_sample
