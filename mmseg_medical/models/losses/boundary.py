"""Distance of the prediction from the border of the truth."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from scipy.ndimage import distance_transform_edt
from torch import Tensor

from mmseg_medical.models.losses.overlap import OverlapLoss
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
    ``loss_weight`` rise. Distances are computed on the CPU for each sample and class, about 60 ms for 64^3 voxels,
    and nothing is kept. Voxels that are ignored are outside, and not part of the mean.

    Args:
        spacing (Sequence[float] | None): Of the voxels in mm; None counts voxels.
        loss_name (str): See :class:`VoxelLoss`.
        **options: Of :class:`OverlapLoss`.
    """

    #: Distances of one mask, of its array and the spacing.
    distance = staticmethod(signed_distance)

    def __init__(
        self,
        *,
        spacing: Sequence[float] | None = None,
        loss_name: str = 'loss_boundary',
        **options: bool | float | str | Sequence[float] | None,
    ) -> None:
        super().__init__(loss_name=loss_name, **options)  # type: ignore[arg-type]
        self.spacing = None if spacing is None else tuple(spacing)

    def compare(self, probabilities: Tensor, masks: Tensor) -> tuple[Tensor, Tensor]:
        """See the base class; losses may be negative."""
        if self.spacing is not None and len(self.spacing) != masks.ndim - 2:
            raise ValueError(f'spacing={self.spacing} of the loss does not fit logits with {masks.ndim - 2} axes')
        values = self.weighted(probabilities, masks, self.distances(masks, probabilities)).flatten(2)
        return values.sum(2), torch.ones_like(values[..., 0], dtype=torch.bool)

    def distances(self, masks: Tensor, like: Tensor) -> Tensor:
        """Distances of each voxel, the shape of ``masks`` and the type of ``like``."""
        maps = [[self.distance(mask, self.spacing) for mask in sample] for sample in masks.cpu().numpy()]
        return torch.from_numpy(np.stack(maps)).to(like)

    def weighted(self, probabilities: Tensor, masks: Tensor, distances: Tensor) -> Tensor:
        """Loss of each voxel and class, (N, K, *S) as all arguments."""
        return probabilities * distances

    def terms_of(self, probabilities: Tensor, target: Tensor, kept: Tensor | None) -> tuple[Tensor, Tensor]:
        """Means over the voxels that count."""
        sums, share = super().terms_of(probabilities, target, kept)
        space = tuple(range(target.ndim - probabilities.ndim + 2, target.ndim))
        if kept is None:
            return sums / probabilities[0, 0].numel(), share
        number = kept.sum(space)
        number = number[:, -sums.shape[1] :] if self.use_sigmoid else number[:, None]
        # samples count by their voxels, as if those that are ignored had been removed
        return sums / number.clamp_min(1), share * number
