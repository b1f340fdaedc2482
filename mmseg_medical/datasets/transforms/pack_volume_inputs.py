from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from mmcv.transforms import BaseTransform
from mmseg.structures import SegDataSample

from mmseg_medical.registry import TRANSFORMS
from mmseg_medical.structures import VolumeData

META_KEYS = (
    'case_id',
    'img_path',
    'seg_map_path',
    'ori_shape',
    'img_shape',
    'affine',
    'spacing_mm',
    'native_grid',
    'grid_steps',
    'augmentations',
    'normalization',
    'scale_level',
    'mask_source',
    'nodules',
    'lung_map_path',
)
# the integer types that torch computes with
_TORCH_INTEGERS = {'uint16': np.int32, 'uint32': np.int64, 'uint64': np.int64, 'bool': np.uint8}


@TRANSFORMS.register_module()
class PackVolumeInputs(BaseTransform):
    """Make tensors of a sample.

    Yields ``inputs``, float32 (C, *S), and ``data_samples``, a ``SegDataSample`` whose ``gt_sem_seg.data`` is (1, *S)
    labels or (K, *S) masks in their own integer type: small ones cross from the worker in an eighth of the time.

    ``spacing_mm`` of the sample is that of the grid of its labels, which distances are measured on: of the file in
    tests, where labels stay on its grid. Without labels it is that of the file. ``affine`` is that of ``inputs``.

    Args:
        meta_keys (Sequence[str]): Keys copied into the sample's metainfo where present.
    """

    def __init__(self, meta_keys: Sequence[str] = META_KEYS) -> None:
        super().__init__()
        self.meta_keys = tuple(meta_keys)

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Pack ``results``, which are not changed."""
        image = results['img']
        rank = image.ndim - 1
        meta = {key: results[key] for key in self.meta_keys if key in results}
        meta['img_shape'] = image.shape[1:]
        label = results.get('gt_seg_map')
        if 'native_grid' in results and (label is None or results.get('labels_on_native_grid')):
            meta['spacing_mm'] = results['native_grid'].spacing_mm
        sample = SegDataSample(metainfo=meta)
        if label is not None:
            label = label if label.ndim == rank + 1 else label[None]
            label = np.ascontiguousarray(label, _TORCH_INTEGERS.get(label.dtype.name, label.dtype))
            sample.gt_sem_seg = VolumeData(data=torch.from_numpy(label))
        return dict(inputs=torch.from_numpy(np.ascontiguousarray(image, np.float32)), data_samples=sample)

    def __repr__(self) -> str:
        return f'{type(self).__name__}(meta_keys={self.meta_keys})'
