from __future__ import annotations

from typing import Any

from mmseg_medical.datasets.slices.files import oriented, read_file
from mmseg_medical.datasets.transforms.load_volume_annotations import LoadVolumeAnnotations
from mmseg_medical.geometry import axis_directions
from mmseg_medical.registry import TRANSFORMS


@TRANSFORMS.register_module()
class LoadCaseAnnotations(LoadVolumeAnnotations):
    """Load the labels of a volume that ``LoadCase`` loaded: the same time, turned the same way.

    Required keys: ``seg_map_path`` and those that ``LoadCase`` adds; optionally ``frame`` and ``label_map``. Everything
    else, where it stands in a pipeline included, is as for ``LoadVolumeAnnotations``.

    Args:
        **kwargs: As for ``LoadVolumeAnnotations``.
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Load the labels.

        Raises:
            DataError: See ``LoadVolumeAnnotations`` and ``LoadCase``.
        """
        if results.get('seg_map_path') is None:
            return super().transform(results)  # which says what is missing
        volume = read_file(results['seg_map_path'], results.get('frame'))
        native = results['native_grid']
        if native.affine is not None:
            volume = oriented(volume, axis_directions(native))
        results = super().transform({**results, 'label_volume': volume})
        del results['label_volume']
        return results
