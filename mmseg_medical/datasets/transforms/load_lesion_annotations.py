from __future__ import annotations

import cv2
import numpy as np
from mmcv.transforms import BaseTransform

from mmseg_medical.datasets.label_cache import load_bit_map
from mmseg_medical.datasets.lesions import DEFAULT_OVERLAP_ORDER, bits_to_channels, label_lut
from mmseg_medical.datasets.run_lengths import RunLengths
from mmseg_medical.registry import TRANSFORMS


@TRANSFORMS.register_module()
class LoadLesionAnnotations(BaseTransform):
    """Load the lesions of an image, as one label a pixel or as one channel a lesion.

    For training, put it right after the image has got its scale and before anything moves its pixels; for testing
    with ``grid='native'``, anywhere. Labels are resized by nearest neighbour, as mmcv does it.

    Required keys: ``case_id``, ``ori_shape``, ``img_shape``, ``lesion_masks`` or ``seg_map_path``; optionally
    ``target``, ``overlap_order``, ``cache_dir`` (the data sets supply them) and ``crop_box``.

    Added keys: ``gt_seg_map``, uint8, (H, W) labels 0..4 or (H, W, 4) of 0 and 1, 255 where ignored.

    Args:
        grid (str): 'image' for the grid of ``img``, 'native' for that of the file.
    """

    def __init__(self, grid: str = 'image') -> None:
        super().__init__()
        if grid not in ('image', 'native'):
            raise ValueError(f"grid must be 'image' or 'native', found {grid!r}")
        self.grid = grid

    def transform(self, results: dict) -> dict:
        """Load the label.

        Raises:
            DataError: a mask is missing, damaged, not binary, or of another size than the image.
            RuntimeError: the image has been flipped or cropped already.
        """
        runs = load_bit_map(results, tuple(results['ori_shape'][:2]))
        lut = _target_lut(results)
        if self.grid == 'native':
            results['gt_seg_map'] = runs.decode(lut)
        else:
            results['gt_seg_map'] = lut[self._to_image_grid(runs, results)]
        results['seg_fields'] = [*results.get('seg_fields', []), 'gt_seg_map']
        return results

    def _to_image_grid(self, runs: RunLengths, results: dict) -> np.ndarray:
        if results.get('flip') or results['img'].shape[:2] != tuple(results['img_shape'][:2]):
            raise RuntimeError("LoadLesionAnnotations(grid='image') must come before flips and crops in the pipeline.")
        bits = runs.decode()
        if 'crop_box' in results:
            y0, x0, y1, x1 = results['crop_box']
            bits = bits[y0:y1, x0:x1]
        height, width = results['img_shape'][:2]
        if bits.shape != (height, width):
            bits = cv2.resize(bits, (width, height), interpolation=cv2.INTER_NEAREST)
        return bits

    def __repr__(self) -> str:
        return f'{type(self).__name__}(grid={self.grid!r})'


def _target_lut(results: dict) -> np.ndarray:
    if results.get('target', 'multiclass') == 'multilabel':
        return bits_to_channels(np.arange(256, dtype=np.uint8))
    return label_lut(results.get('overlap_order', DEFAULT_OVERLAP_ORDER))
