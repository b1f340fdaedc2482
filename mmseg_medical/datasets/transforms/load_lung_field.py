from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from mmcv.transforms import BaseTransform

from mmseg_medical.datasets.errors import DataError, data_error
from mmseg_medical.errors import ConfigError
from mmseg_medical.evaluation.functional.components import bounding_box
from mmseg_medical.geometry import grid_difference, read_labels
from mmseg_medical.geometry.points import voxel_to_world
from mmseg_medical.registry import TRANSFORMS

LUNGS = (3, 4)


@TRANSFORMS.register_module()
class LoadLungField(BaseTransform):
    """Note where the lungs of a scan are, in millimetres, so that it stays true whatever becomes of the grid.

    Put it behind ``LoadVolume``. What uses it: ``RandomNodulePatch`` draws background patches there,
    ``CropToLungField`` cuts to it.

    Required keys: ``native_grid``; ``lung_map_path`` where the data set has one.

    Added keys, where there is a map: ``lung_points_mm``, float64 (n, 3), centres of voxels of the lungs in RAS, each
    voxel with the same chance, the same ones at every visit; ``lung_corners_mm``, (8, 3), of the box around all.

    Args:
        labels (Sequence[int]): Of the lungs in the map: 3 and 4 in that of LUNA16, whose 5 is the trachea.
        num_points (int): Most points.
        required (bool): Whether a case without a map is an error.
    """

    def __init__(self, labels: Sequence[int] = LUNGS, num_points: int = 1024, required: bool = False) -> None:
        super().__init__()
        if not 1 <= num_points <= 1365:
            raise ConfigError(f'num_points of LoadLungField must lie in 1..1365, found {num_points}')
        self.labels = tuple(int(label) for label in labels)
        self.num_points = num_points
        self.required = required

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Read the map.

        Raises:
            DataError: It is missing though required, damaged, on another grid than the scan, or has no lung.
        """
        path = results.get('lung_map_path')
        if path is None:
            if self.required:
                raise data_error(
                    f'case {results.get("case_id")}',
                    expected='a map of the lungs',
                    found='none',
                    remedy='Set lung_root of the dataset, or required=False in LoadLungField.',
                )
            return results
        try:
            volume = read_labels(path)
        except (OSError, ValueError) as error:
            raise DataError(str(error)) from error
        native = results['native_grid']
        if (difference := grid_difference(volume, native)) is not None:
            raise data_error(path, expected='the grid of its scan', found=difference, remedy='Use the maps of LUNA16.')
        inside = np.isin(volume.array, self.labels)
        if not inside.any():
            raise data_error(
                path,
                expected=f'lungs (labels {", ".join(map(str, self.labels))})',
                found=f'labels {", ".join(map(str, np.unique(volume.array)[:10]))}',
                remedy='Set labels of LoadLungField, or lung_root=None of the dataset.',
            )
        results['lung_points_mm'] = np.round(voxel_to_world(self._points(inside), native.affine), 3)
        box = bounding_box(inside)
        corners = np.array(np.meshgrid(*((s.start, s.stop - 1) for s in box), indexing='ij')).reshape(3, -1).T
        results['lung_corners_mm'] = voxel_to_world(corners, native.affine)
        return results

    def _points(self, inside: np.ndarray) -> np.ndarray:
        voxels = np.flatnonzero(inside)
        if voxels.size > self.num_points:
            # a generator of its own: a step that draws from numpy's could not be stored
            voxels = np.random.default_rng(0).choice(voxels, self.num_points, replace=False)
        return np.stack(np.unravel_index(voxels, inside.shape), axis=1)

    def __repr__(self) -> str:
        return f'{type(self).__name__}(labels={self.labels}, num_points={self.num_points}, required={self.required})'
