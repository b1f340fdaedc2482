# ruff: noqa: NPY002 - the sampler seeds numpy's global generator for every sample
from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from mmcv.transforms import BaseTransform, Compose

from mmseg_medical.datasets.lesions import IGNORE_INDEX
from mmseg_medical.datasets.patch_store import Case, CaseFile, DamagedCaseError, PatchStore
from mmseg_medical.registry import TRANSFORMS


@TRANSFORMS.register_module()
class LoadStoredPatch(BaseTransform):
    """Do the steps of a pipeline that draw nothing once a case, store the result, and read patches of it.

    It stands in front of a training pipeline in place of these steps. Samples are the same, draw for draw, as with the
    steps themselves followed by the patch transform, except that of a class of more than 10,000 voxels only as many,
    chosen at random, are centres of a draw.

    Required keys: ``img_path``; ``seg_map_path`` if the pipeline loads labels.

    Added keys: those that the pipeline and the patch transform add.

    Args:
        pipeline (Sequence[dict]): Steps without random draws, e.g. LoadVolume, LoadVolumeAnnotations, ReorientVolume,
            ResampleVolume, NormalizeIntensity.
        store_dir (str): Folder of the store. Any number of configs, data sets and processes may share it.
        patch (dict | None): Transform that cuts the patch, :class:`RandomPatch` where it names no ``type``. Without,
            the whole case is read.
        in_memory (bool): For data sets that fit into RAM: store uncompressed and map into memory. All workers share
            the pages; RAM in use is the size of the data set once, whatever their number.

    Raises:
        ConfigError: The pipeline draws random numbers or cannot be stored.
        DataError: A case is faulty.
    """

    def __init__(
        self,
        pipeline: Sequence[Mapping],
        store_dir: str,
        patch: Mapping | None = None,
        in_memory: bool = False,
    ) -> None:
        super().__init__()
        self.patch = None if patch is None else TRANSFORMS.build({'type': 'RandomPatch', **patch})
        self.store = PatchStore(
            store_dir,
            pipeline,
            Compose([TRANSFORMS.build(dict(step)) if isinstance(step, Mapping) else step for step in pipeline]),
            patch_size=getattr(self.patch, 'patch_size', None),
            in_memory=in_memory,
        )

    def transform(self, results: dict[str, Any]) -> dict[str, Any] | None:
        """Read a patch, or the case; build what is not there or damaged."""
        case = self.store.open(results)
        drawn = np.random.get_state()
        try:
            return self._read(case, dict(results))
        except DamagedCaseError as error:
            case = self.store.rebuild(results, error)
            np.random.set_state(drawn)  # the same patch as from the file that was whole
            return self._read(case, dict(results))

    def _read(self, case: Case | CaseFile, results: dict[str, Any]) -> dict[str, Any] | None:
        with case:
            results.update(case.fields)
            results['img'] = case.image
            if case.labels is not None:
                results['gt_seg_map'] = case.labels
            if self.patch is not None:
                if case.labels is not None:
                    ignored = getattr(self.patch, 'ignore_index', IGNORE_INDEX)
                    results['class_locations'] = {k: v for k, v in case.locations.items() if k != ignored}
                results = self.patch(results)
            for key in ('img', 'gt_seg_map'):
                if results is not None and key in results and not isinstance(results[key], np.ndarray):
                    results[key] = results[key][...]
        return results

    def __repr__(self) -> str:
        return (
            f'{type(self).__name__}(pipeline={self.store.pipeline}, store_dir={str(self.store.folder.parent)!r}, '
            f'patch={self.patch!r}, in_memory={self.store.in_memory})'
        )
