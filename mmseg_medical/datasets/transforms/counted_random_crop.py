from __future__ import annotations

import cv2
import numpy as np
from mmcv.transforms.utils import cache_randomness
from mmseg.datasets.transforms import RandomCrop

from mmseg_medical.registry import TRANSFORMS

_TRIES = 10


@TRANSFORMS.register_module()
class CountedRandomCrop(RandomCrop):
    """mmseg's ``RandomCrop``, the same windows for the same seed, in a small part of its time.

    With ``cat_max_ratio`` below one mmseg sorts every window it tries to count its classes. On a fundus nearly all
    of a window is background, so all ten tries are made, and they take longer than loading the image. A histogram
    gives the same counts. The last window is kept whatever it holds.

    Added keys: ``random_crop``: the window (y0, x0, y1, x1) in pixels of the image it was cut from.

    Args:
        crop_size (int or tuple[int, int]): Height and width.
        cat_max_ratio (float): Largest share of one class in a window that is not drawn again.
        ignore_index (int): Label that is not counted.
    """

    @cache_randomness
    def crop_bbox(self, results: dict) -> tuple[int, int, int, int]:
        """Draw a window: y0, y1, x0, x1 in pixels."""
        shape = results['img'].shape
        window = self._draw_window(shape)
        if self.cat_max_ratio < 1:
            for _ in range(_TRIES):
                if self._is_balanced(self.crop(results['gt_seg_map'], window)):
                    break
                window = self._draw_window(shape)
        return window

    def transform(self, results: dict) -> dict:
        """Cut the image and its maps."""
        height, width = results['img'].shape[:2]
        y0, y1, x0, x1 = self.crop_bbox(results)
        for key in ('img', *results.get('seg_fields', [])):
            results[key] = self.crop(results[key], (y0, y1, x0, x1))
        results['img_shape'] = results['img'].shape[:2]
        results['random_crop'] = (y0, x0, min(y1, height), min(x1, width))
        return results

    def _draw_window(self, shape: tuple[int, ...]) -> tuple[int, int, int, int]:
        y0, x0 = (
            int(np.random.randint(0, max(have - want, 0) + 1))  # noqa: NPY002 - mmengine seeds this generator
            for have, want in zip(shape[:2], self.crop_size, strict=True)
        )
        return y0, y0 + self.crop_size[0], x0, x0 + self.crop_size[1]

    def _is_balanced(self, window: np.ndarray) -> bool:
        planes = [window] if window.ndim == 2 else cv2.split(window)
        # float32 counts of a window are exact up to 2**24 pixels
        counts = sum(cv2.calcHist([plane], [0], None, [256], [0, 256]).astype(np.float64) for plane in planes)
        counts = np.asarray(counts).reshape(-1)
        counts[self.ignore_index] = 0
        return bool(np.count_nonzero(counts) > 1 and counts.max() / counts.sum() < self.cat_max_ratio)
