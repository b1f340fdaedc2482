from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from mmcv.transforms import BaseTransform, Compose

from mmseg_medical.datasets.patch_store import Case, CaseFile
from mmseg_medical.datasets.slices.cutting import cut_slice
from mmseg_medical.datasets.slices.store import SliceStore
from mmseg_medical.datasets.transforms.load_stored_patch import LoadStoredPatch
from mmseg_medical.errors import ConfigError
from mmseg_medical.registry import TRANSFORMS


@TRANSFORMS.register_module()
class LoadSlice(LoadStoredPatch):
    """Preprocess a volume once, store the result, and read slices of it, each with its place in space.

    To train, ``LoadCaseAnnotations`` stands right behind ``LoadCase`` in ``pipeline``, so that labels move along; to
    test, at its end: labels then stay on the grid of the file, where predictions are scored. Steps may change the grid
    within the slices only. What this transform does to the slices it leaves to do without: they are those of the file,
    each with the steps that lead back to it.

    Required keys: those of an entry of :class:`~mmseg_medical.datasets.slices.SliceDataset`.

    Added keys:

    - ``img``: float32 (C, H, W), axes as those of the volume; ``gt_seg_map``: (H, W) labels, or masks (K, H, W);
    - ``native_grid``, ``ori_shape``, ``img_shape``, ``affine``, ``spacing_mm`` (two numbers), ``grid_steps``: as of
      ``LoadVolume``, of the slice;
    - ``slice_spacing_mm``: distance of the slices, None where the file does not say;
    - what else the pipeline noted.

    Args:
        pipeline (Sequence[dict]): Steps without random draws, which begin with ``LoadCase``.
        store_dir (str): Folder of the store; any number of configs, data sets and processes may share it.
        neighbours (int): Slices on either side that become channels too ("2.5D"): of C modalities (2 neighbours + 1) C
            channels, slice after slice. Beyond the ends the last slice is repeated.
        copies (int): Times that the channels are repeated, 3 for networks that take colours.
        in_memory (bool): Store uncompressed and map into memory, once for all processes.

    Raises:
        ConfigError: The pipeline draws random numbers, cannot be stored, or changes the slices.
        DataError: A case is faulty.
    """

    def __init__(
        self,
        pipeline: Sequence[Mapping],
        store_dir: str,
        neighbours: int = 0,
        copies: int = 1,
        in_memory: bool = False,
    ) -> None:
        BaseTransform.__init__(self)
        if neighbours < 0 or copies < 1:
            raise ConfigError(
                f'neighbours of LoadSlice must not be negative and copies positive, found {neighbours} and {copies}'
            )
        self.patch = None
        self.neighbours = int(neighbours)
        self.copies = int(copies)
        steps = Compose([TRANSFORMS.build(dict(step)) if isinstance(step, Mapping) else step for step in pipeline])
        self.store = SliceStore(store_dir, pipeline, steps, in_memory=in_memory)

    def _read(self, case: Case | CaseFile, results: dict[str, Any]) -> dict[str, Any]:
        index, number = int(results['slice_index']), results['num_slices']
        with case:
            results.update(cut_slice(case, index, number, self.neighbours, self.copies, results['img_path']))
        return results

    def __repr__(self) -> str:
        return (
            f'{type(self).__name__}(pipeline={self.store.pipeline}, store_dir={str(self.store.folder.parent)!r}, '
            f'neighbours={self.neighbours}, copies={self.copies}, in_memory={self.store.in_memory})'
        )
