from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import torch
from mmengine.structures import PixelData
from mmseg.datasets.transforms import PackSegInputs

from mmseg_medical.registry import TRANSFORMS

META_KEYS = (
    'case_id',
    'img_path',
    'ori_shape',
    'img_shape',
    'pad_shape',
    'scale_factor',
    'flip',
    'flip_direction',
    'reduce_zero_label',
    'crop_box',
    'scale',
    'resize_ratio',
    'decode_reduction',
    'lesion_crop',
    'random_crop',
)


@TRANSFORMS.register_module()
class PackLesionInputs(PackSegInputs):
    """mmseg's packing, with channels of a multi-label map in front and with the draws of the augmentation.

    Yields ``inputs`` uint8 (3, H, W) and a ``SegDataSample`` whose ``gt_sem_seg.data`` is (1, H, W) labels or
    (4, H, W) lesion channels.

    Args:
        meta_keys (Sequence[str]): Keys copied into the sample's metainfo where present.
        label_dtype (str): 'int64' as losses need it, or 'uint8' for testing: labels on the native grid of IDRiD take
            12 MB instead of 98 (multi-label 49 instead of 391) on their way from the worker. Metrics read both.
    """

    def __init__(self, meta_keys: Sequence[str] = META_KEYS, label_dtype: str = 'int64') -> None:
        if label_dtype not in ('int64', 'uint8'):
            raise ValueError(f"label_dtype must be 'int64' or 'uint8', found {label_dtype!r}")
        super().__init__(meta_keys=tuple(meta_keys))
        self.label_dtype = label_dtype

    def transform(self, results: dict) -> dict:
        """Pack ``results``, which are not changed."""
        results = dict(results)
        results['img_shape'] = results['img'].shape[:2]
        results.setdefault('flip', False)
        results.setdefault('flip_direction', None)
        # splitting into planes here is several times quicker than a strided copy; mmseg then finds nothing to copy
        results['img'] = np.stack(cv2.split(results['img'])).transpose(1, 2, 0)
        # mmseg's packing knows neither channels nor another type than int64
        label = results.pop('gt_seg_map', None)
        packed = super().transform(results)
        if label is not None:
            planes = label[None] if label.ndim == 2 else label.transpose(2, 0, 1)
            data = torch.from_numpy(np.ascontiguousarray(planes, dtype=self.label_dtype))
            packed['data_samples'].gt_sem_seg = PixelData(data=data)
        return packed

    def __repr__(self) -> str:
        return f'{type(self).__name__}(meta_keys={self.meta_keys}, label_dtype={self.label_dtype!r})'
