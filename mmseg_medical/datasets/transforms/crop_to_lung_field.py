from __future__ import annotations

from typing import Any

import numpy as np

from mmseg_medical.datasets.transforms.volume_grid import GridTransform, current_grid
from mmseg_medical.errors import ConfigError
from mmseg_medical.geometry import CropPad, Grid, GridStep
from mmseg_medical.geometry.points import world_to_voxel
from mmseg_medical.registry import TRANSFORMS


@TRANSFORMS.register_module()
class CropToLungField(GridTransform):
    """Cut a scan to the box around its lungs; without ``LoadLungField`` or a map it stays whole.

    What lies outside is background in a prediction, and is not looked at.

    Args:
        margin_mm (float): Kept around the lungs: lung maps often leave out nodules on the wall.
    """

    def __init__(self, margin_mm: float = 10.0) -> None:
        super().__init__()
        if margin_mm < 0:
            raise ConfigError(f'margin_mm of CropToLungField must not be negative, found {margin_mm}')
        self.margin_mm = margin_mm

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Cut, unless nothing is known of the lungs."""
        known = 'lung_corners_mm' in results and current_grid(results).affine is not None
        return super().transform(results) if known else results

    def plan(self, grid: Grid, results: dict[str, Any]) -> GridStep:
        """See the base class."""
        corners = world_to_voxel(results['lung_corners_mm'], np.asarray(grid.affine))
        margins = [self.margin_mm / spacing for spacing in grid.spacing_mm or (1.0,) * grid.rank]
        low = np.maximum(np.floor(corners.min(axis=0) - margins), 0).astype(int)
        high = np.minimum(np.ceil(corners.max(axis=0) + margins).astype(int) + 1, grid.size)
        return CropPad.plan(grid, box=list(zip(low.tolist(), high.tolist(), strict=True)))

    def __repr__(self) -> str:
        return f'{type(self).__name__}(margin_mm={self.margin_mm})'
