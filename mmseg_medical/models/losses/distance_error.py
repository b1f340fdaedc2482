"""Errors that weigh as much as they are far from the border of the truth."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.ndimage import distance_transform_edt
from torch import Tensor

from mmseg_medical.models.losses.boundary import VoxelBoundaryLoss
from mmseg_medical.registry import MODELS


def border_distance(mask: np.ndarray, spacing: Sequence[float] | None = None) -> np.ndarray:
    """Distance of each voxel to the nearest one on the other side of the border of a mask.

    Args:
        mask (np.ndarray): bool, shape (*S).
        spacing (Sequence[float] | None): Along each axis, in mm; None counts voxels.

    Returns:
        np.ndarray: float32, shape (*S); 0 everywhere if the mask is empty or full.
    """
    if not mask.any() or mask.all():
        return np.zeros(mask.shape, np.float32)
    return (distance_transform_edt(~mask, spacing) + distance_transform_edt(mask, spacing)).astype(np.float32)


@MODELS.register_module()
class DistanceErrorLoss(VoxelBoundaryLoss):
    """Mean of ``|p - y|`` times the distance to the border of the truth; HDC-HRNet's distance boundary loss.

    Unlike :class:`VoxelBoundaryLoss` it is never negative, and 0 for a prediction that is right and sure. A class that
    a sample does not have counts 0 there, whatever is predicted: add it to an overlap loss.

    Args:
        spacing (Sequence[float] | None): Of the voxels in mm; None counts voxels.
        loss_name (str): See :class:`VoxelLoss`.
        **options: Of :class:`OverlapLoss`.
    """

    distance = staticmethod(border_distance)

    def __init__(
        self,
        *,
        spacing: Sequence[float] | None = None,
        loss_name: str = 'loss_distance_error',
        **options: bool | float | str | Sequence[float] | None,
    ) -> None:
        super().__init__(spacing=spacing, loss_name=loss_name, **options)

    def weighted(self, probabilities: Tensor, masks: Tensor, distances: Tensor) -> Tensor:
        """See the base class."""
        return (probabilities - masks.to(probabilities)).abs() * distances
