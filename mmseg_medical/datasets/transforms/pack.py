from __future__ import annotations

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
)


@TRANSFORMS.register_module()
class PackLesionInputs(PackSegInputs):
    """mmseg's packing, with channels of a multi-label map in front and with the draws of the augmentation.

    Yields ``inputs`` uint8 (3, H, W) and a ``SegDataSample`` whose ``gt_sem_seg.data`` is int64, (1, H, W) labels or
    (4, H, W) lesion channels.

    Args:
        meta_keys (Sequence[str]): Keys copied into the sample's metainfo where present.
    """

    def __init__(self, meta_keys: tuple[str, ...] = META_KEYS) -> None:
        super().__init__(meta_keys=tuple(meta_keys))

    def transform(self, results: dict) -> dict:
        """Pack ``results``, which are not changed."""
        results = dict(results)
        results['img_shape'] = results['img'].shape[:2]
        results.setdefault('flip', False)
        results.setdefault('flip_direction', None)
        # splitting into planes here is several times quicker than a strided copy; mmseg then finds nothing to copy
        results['img'] = np.stack(cv2.split(results['img'])).transpose(1, 2, 0)
        channels = results.get('gt_seg_map')
        if channels is None or channels.ndim == 2:
            return super().transform(results)
        del results['gt_seg_map']
        packed = super().transform(results)
        packed['data_samples'].gt_sem_seg = _pixel_data(channels)
        return packed


def _pixel_data(channels: np.ndarray) -> PixelData:
    return PixelData(data=torch.from_numpy(np.ascontiguousarray(channels.transpose(2, 0, 1)).astype(np.int64)))
