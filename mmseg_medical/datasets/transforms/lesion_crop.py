# ruff: noqa: NPY002 - mmengine seeds numpy's global generator in every worker
from __future__ import annotations

import numpy as np
from mmcv.transforms import BaseTransform
from mmcv.transforms.utils import cache_randomness

from mmseg_medical.datasets.lesions import IGNORE_INDEX
from mmseg_medical.registry import TRANSFORMS


@TRANSFORMS.register_module()
class LesionCrop(BaseTransform):
    """Cut a window that contains a lesion with a chosen probability.

    Lesions cover less than one per cent of a fundus, so small random windows mostly show none. Here a class is drawn
    among those present, then one of its pixels, then the window uniformly among all that contain the pixel: lesions
    turn up anywhere in the window, not in its middle. Rare classes are met as often as frequent ones.

    Required keys: ``img`` (H, W, 3), ``gt_seg_map`` (H, W) or (H, W, K).

    Changed keys: ``img``, ``img_shape``, ``pad_shape``, every map in ``seg_fields``.

    Added keys: ``lesion_crop``: dict with ``box`` (y0, x0, y1, x1) and ``lesion``, the class drawn or None.

    Args:
        crop_size (tuple[int, int]): Height and width; a smaller image is taken whole along that axis.
        lesion_prob (float): Probability of asking for a lesion; without, or if there is none, the window is uniform.
    """

    def __init__(self, crop_size: tuple[int, int], lesion_prob: float = 0.75) -> None:
        super().__init__()
        if min(crop_size) < 1 or not 0 <= lesion_prob <= 1:
            raise ValueError(
                f'crop_size must be positive and lesion_prob in [0, 1], found {crop_size} and {lesion_prob}'
            )
        self.crop_size = (int(crop_size[0]), int(crop_size[1]))
        self.lesion_prob = lesion_prob

    @cache_randomness
    def _draw(self, seg_map: np.ndarray) -> tuple[tuple[int, int, int, int], int | None]:
        height, width = (min(want, have) for want, have in zip(self.crop_size, seg_map.shape[:2], strict=True))
        lesion, pixel = None, None
        if np.random.random_sample() < self.lesion_prob:
            lesion, pixel = self._draw_pixel(seg_map)
        y0 = self._draw_start(seg_map.shape[0], height, None if pixel is None else pixel[0])
        x0 = self._draw_start(seg_map.shape[1], width, None if pixel is None else pixel[1])
        return (y0, x0, y0 + height, x0 + width), lesion

    @staticmethod
    def _draw_pixel(seg_map: np.ndarray) -> tuple[int | None, tuple[int, int] | None]:
        if seg_map.ndim == 3:
            present = [k for k in range(seg_map.shape[2]) if (seg_map[..., k] == 1).any()]
        else:
            counts = np.bincount(seg_map.reshape(-1), minlength=256)
            present = [int(k) for k in np.flatnonzero(counts) if k not in (0, IGNORE_INDEX)]
        if not present:
            return None, None
        lesion = present[np.random.randint(len(present))]
        plane = seg_map[..., lesion] == 1 if seg_map.ndim == 3 else seg_map == lesion
        pixels = np.flatnonzero(plane)
        row, column = divmod(int(pixels[np.random.randint(len(pixels))]), seg_map.shape[1])
        return lesion, (row, column)

    @staticmethod
    def _draw_start(length: int, window: int, pixel: int | None) -> int:
        low, high = 0, length - window
        if pixel is not None:
            low, high = max(low, pixel - window + 1), min(high, pixel)
        return int(np.random.randint(low, high + 1))

    def transform(self, results: dict) -> dict:
        """Cut the image and its maps."""
        box, lesion = self._draw(results['gt_seg_map'])
        y0, x0, y1, x1 = box
        results['img'] = results['img'][y0:y1, x0:x1]
        for key in results.get('seg_fields', []):
            results[key] = results[key][y0:y1, x0:x1]
        results['img_shape'] = results['pad_shape'] = results['img'].shape[:2]
        results['lesion_crop'] = dict(box=box, lesion=lesion)
        return results

    def __repr__(self) -> str:
        return f'{type(self).__name__}(crop_size={self.crop_size}, lesion_prob={self.lesion_prob})'
