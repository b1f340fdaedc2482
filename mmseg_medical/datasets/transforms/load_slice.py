from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from mmcv.transforms import BaseTransform, Compose

from mmseg_medical.datasets.errors import data_error
from mmseg_medical.datasets.patch_store import Case, CaseFile
from mmseg_medical.datasets.slices.grids import slice_grid, slice_step
from mmseg_medical.datasets.slices.store import SliceStore
from mmseg_medical.datasets.transforms.load_stored_patch import LoadStoredPatch
from mmseg_medical.errors import ConfigError
from mmseg_medical.geometry import Grid
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
        index = int(results['slice_index'])
        with case:
            fields, size = case.fields, case.image.shape[1:]
            self._check(size, results)
            places = np.clip(np.arange(index - self.neighbours, index + self.neighbours + 1), 0, size[2] - 1).tolist()
            slab = case.image[..., places[0] : places[-1] + 1]
            image = np.concatenate([slab[..., place - places[0]] for place in places] * self.copies)
            labels = None if case.labels is None else case.labels[..., index : index + 1]
        native, grid = fields['native_grid'], slice_grid(Grid(size, fields.get('affine')), index)
        results.update(fields)
        results.update(
            img=np.ascontiguousarray(image, np.float32),
            native_grid=slice_grid(native, index),
            grid_steps=[slice_step(step, index) for step in fields.get('grid_steps', ())],
            ori_shape=native.size[:2],
            img_shape=grid.size,
            affine=grid.affine,
            spacing_mm=grid.spacing_mm,
            slice_spacing_mm=None if native.spacing_mm is None else native.spacing_mm[2],
        )
        if labels is not None:
            results['gt_seg_map'] = np.ascontiguousarray(labels[..., 0])
        return results

    def _check(self, size: Sequence[int], results: dict[str, Any]) -> None:
        if size[2] != results['num_slices']:
            raise data_error(
                results['img_path'],
                expected=f'{results["num_slices"]} slices, as its header has',
                found=f'{size[2]} behind the pipeline of LoadSlice',
                remedy='Steps must leave the last axis alone; the order of axes is orientation of the data set.',
            )

    def __repr__(self) -> str:
        return (
            f'{type(self).__name__}(pipeline={self.store.pipeline}, store_dir={str(self.store.folder.parent)!r}, '
            f'neighbours={self.neighbours}, copies={self.copies}, in_memory={self.store.in_memory})'
        )
