from __future__ import annotations

from typing import Any

from mmseg_medical.datasets.slices.files import oriented, read_file
from mmseg_medical.datasets.transforms.load_volume import LoadVolume
from mmseg_medical.geometry import Volume, axis_directions
from mmseg_medical.registry import TRANSFORMS


@TRANSFORMS.register_module()
class LoadCase(LoadVolume):
    """Load a volume of a data set of slices: one file, one time of a series, or one file a modality.

    Files of one case may have their axes in different orders and directions: all are turned, without interpolation, to
    ``orientation`` of the entry, or else to that of the first file. What then still lies elsewhere is an error.

    Required keys: ``img_path``. Optionally ``modality_paths`` (files of the channels, instead), ``frame`` (time of a
    series, from 0), ``orientation``. Or ``volume``, in memory, as of ``LoadVolume``.

    Added keys: those of ``LoadVolume``; ``native_grid`` is that of the turned volume.

    Args:
        num_channels (int | None): Modalities that are wanted; None takes any number.
    """

    def __init__(self, num_channels: int | None = None) -> None:
        super().__init__(num_channels, rank=3)

    def _volumes(self, results: dict[str, Any]) -> list[Volume]:
        if results.get('volume') is not None:
            volumes = super()._volumes(results)
        else:
            paths = results.get('modality_paths') or [results['img_path']]
            volumes = [read_file(path, results.get('frame')) for path in paths]
        if any(volume.rank != self.rank for volume in volumes):
            return volumes  # nothing to turn; the base class says what is wrong
        axes = results.get('orientation')
        if axes is None and volumes[0].affine is not None:
            axes = axis_directions(volumes[0].grid)
        return volumes if axes is None else [oriented(volume, axes) for volume in volumes]

    def __repr__(self) -> str:
        return f'{type(self).__name__}(num_channels={self.num_channels})'
