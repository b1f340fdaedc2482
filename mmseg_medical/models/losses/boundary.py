"""Distance of the prediction from the border of the truth."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from scipy.ndimage import distance_transform_edt
from torch import Tensor

from mmseg_medical.models.losses.dice import OverlapLoss
from mmseg_medical.registry import MODELS


def signed_distance(mask: np.ndarray, spacing: Sequence[float] | None = None) -> np.ndarray:
    """Distance to the border of a mask, negative inside.

    A voxel outside has its distance to the mask, one inside minus its distance to the outside plus the smallest
    spacing, so that voxels on the border have 0.

    Args:
        mask (np.ndarray): bool, shape (*S).
        spacing (Sequence[float] | None): Along each axis, in mm; None counts voxels.

    Returns:
        np.ndarray: float32, shape (*S); 0 everywhere if the mask is empty or full.
    """
    if not mask.any() or mask.all():
        return np.zeros(mask.shape, np.float32)
    outside = distance_transform_edt(~mask, spacing)
    inside = distance_transform_edt(mask, spacing) - min(spacing or (1.0,))
    return np.where(mask, -inside, outside).astype(np.float32)


@MODELS.register_module()
class VoxelBoundaryLoss(OverlapLoss):
    """Mean of probability times signed distance to the truth (Kervadec et al. 2019, doi:10.1016/j.media.2020.101851).

    It has no minimum of its own for structures that are missed: add it to an overlap loss, and let its
    ``loss_weight`` rise. Distances are computed on the CPU for each sample and class, about 25 ms for 64^3 voxels.

    Args:
        spacing (Sequence[float] | None): Of the voxels in mm; None counts voxels.
        loss_name (str): See :class:`OverlapLoss`.
        **options: Of :class:`OverlapLoss`.
    """

    def __init__(
        self,
        *,
        spacing: Sequence[float] | None = None,
        loss_name: str = 'loss_boundary',
        **options: bool | float | Sequence[float] | None,
    ) -> None:
        super().__init__(loss_name=loss_name, **options)  # type: ignore[arg-type]
        self.spacing = None if spacing is None else tuple(spacing)

    def overlap(self, probabilities: Tensor, masks: Tensor, class_weight: Tensor | None) -> Tensor:
        """Complement of the mean, which may leave 0..1 on both sides."""
        truth = masks.detach().cpu().numpy() > 0.5
        distances = np.stack([[signed_distance(mask, self.spacing) for mask in sample] for sample in truth])
        values = probabilities * torch.from_numpy(distances).to(probabilities)
        means = values.mean(dim=(0, *range(2, values.ndim)))
        return 1 - (means if class_weight is None else means * class_weight / class_weight.mean()).mean()
