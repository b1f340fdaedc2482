from __future__ import annotations

from typing import Any

import numpy as np

from mmseg_medical.datasets.errors import DataError, data_error
from mmseg_medical.datasets.lung_nodules import check_inside, sphere_labels
from mmseg_medical.datasets.lung_nodules.lidc import contour_labels
from mmseg_medical.datasets.transforms.load_volume_annotations import LoadVolumeAnnotations
from mmseg_medical.geometry import Volume, read_labels
from mmseg_medical.registry import TRANSFORMS


@TRANSFORMS.register_module()
class LoadNoduleAnnotations(LoadVolumeAnnotations):
    """Load or make the mask of the nodules of a scan, as ``mask_source`` of its data set says.

    Where it stands in a pipeline is as for ``LoadVolumeAnnotations``: right behind ``LoadVolume`` to train, behind
    everything that changes the grid to test.

    Required keys: ``native_grid``, ``mask_source``, ``nodules`` (N, 4), ``case_id``; ``seg_map_path`` of a mask file.

    Added keys: those of ``LoadVolumeAnnotations``; labels are 0, 1 in nodules (any number but 0 and ``ignore_index`` in
    a file), and ``ignore_index``.

    Args:
        ignore_index (int): Label in mask files that is left out of losses and metrics.
    """

    def __init__(self, ignore_index: int = 255) -> None:
        super().__init__(num_classes=2, ignore_index=ignore_index)

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Load or make the mask.

        Raises:
            DataError: A nodule lies outside the scan; or see ``LoadVolumeAnnotations``.
        """
        native, series = results['native_grid'], str(results['case_id'])
        missing = [key for key in ('mask_source', 'nodules') if key not in results]
        if missing:
            raise data_error(
                f'case {series}',
                expected='an entry of a data set of nodules',
                found=f'no {", ".join(missing)}',
                remedy='Of other data sets LoadVolumeAnnotations loads the labels.',
            )
        check_inside(native, results['nodules'], series)
        if results.get('seg_map_path') is not None:
            volume = self._binary(results['seg_map_path'])
        elif results['mask_source'] == 'lidc_contours':
            volume = Volume(contour_labels(native, series), native.affine, f'contours of {series}')
        else:
            volume = Volume(sphere_labels(native, results['nodules']), native.affine, f'balls of {series}')
        given = dict(results, label_volume=volume)
        loaded = super().transform(given)
        del loaded['label_volume']
        results.update(loaded)
        return results

    def _binary(self, path: str) -> Volume:
        try:
            volume = read_labels(path)
        except (OSError, ValueError) as error:
            raise DataError(str(error)) from error
        labels = (volume.array != 0).astype(np.uint8)
        labels[volume.array == self.ignore_index] = self.ignore_index
        return Volume(labels, volume.affine, volume.source)

    def __repr__(self) -> str:
        return f'{type(self).__name__}(ignore_index={self.ignore_index})'
