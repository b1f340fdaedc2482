"""A folder of preprocessed volumes, of which slices are read."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from mmseg_medical.datasets.patch_store import Case, PatchStore
from mmseg_medical.errors import ConfigError

#: what an entry of a data set says of the slice, not of the volume
SLICE_KEYS = ('volume_id', 'slice_index', 'num_slices', 'sample_idx')
# More than any slice has: chunks then span the first two axes as far as the size of a chunk allows.
_WHOLE = 1 << 20


def volume_entry(entry: Mapping[str, Any]) -> dict[str, Any]:
    """Return what an entry says of the volume, the same for all its slices."""
    return {key: value for key, value in entry.items() if key not in SLICE_KEYS}


class SliceStore(PatchStore):
    """Volumes as a pipeline leaves them, one file each, verified as all of :class:`PatchStore`.

    Entries may be those of slices: all slices of a volume are one case. Beyond patches, labels may lie on the grid of
    the file while the image has left it, as in tests.

    Args:
        folder (str | Path): Where the store is.
        pipeline (Sequence[Mapping]): Steps without random draws, as dicts.
        run (Callable): What they make of an entry.
        in_memory (bool): Store uncompressed and map into memory.
    """

    def __init__(
        self,
        folder: str | Path,
        pipeline: Sequence[Mapping],
        run: Callable[[dict[str, Any]], dict[str, Any] | None],
        in_memory: bool = False,
    ) -> None:
        with _worded():
            super().__init__(folder, pipeline, self._run_volume, (_WHOLE, _WHOLE, 1), in_memory)
        self._run_steps = run
        self._labels: np.ndarray | None = None

    def path(self, entry: Mapping[str, Any]) -> Path:
        """Name the file of the volume that an entry is of; every modality counts.

        Raises:
            DataError: Its files are missing, or it has none.
        """
        volume = volume_entry(entry)
        return super().path({**volume, 'img_path': volume.get('modality_paths') or volume.get('img_path')})

    def _run_volume(self, entry: dict[str, Any]) -> dict[str, Any] | None:
        results = self._run_steps(entry)
        self._labels = None if results is None else results.pop('gt_seg_map', None)
        return results

    def _preprocess(self, entry: Mapping[str, Any]) -> Case:
        with _worded():
            case = super()._preprocess(volume_entry(entry))
        if case.image.ndim != 4:
            raise ConfigError(f'pipeline of LoadSlice leaves an image of shape {case.image.shape}, not a volume')
        return replace(case, labels=self._labels)


class _worded:
    """Name the transform that the user wrote in errors of the store."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        if isinstance(error, ConfigError):
            raise ConfigError(str(error).replace('LoadStoredPatch', 'LoadSlice')) from error
