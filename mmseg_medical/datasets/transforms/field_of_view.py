from __future__ import annotations

import cv2
import numpy as np
from mmcv.transforms import BaseTransform

from mmseg_medical.datasets.errors import DataError
from mmseg_medical.registry import TRANSFORMS

MODES = ('none', 'crop_resize', 'crop_resize_enhance')


def field_of_view_box(image: np.ndarray, threshold: int = 7) -> tuple[int, int, int, int]:
    """Bounding box of what the camera lit.

    Args:
        image (np.ndarray): shape (H, W, 3), uint8, BGR.
        threshold (int): A pixel is lit if its grey value is above it.

    Returns:
        tuple[int, int, int, int]: y0, x0, y1, x1 in pixels, the ends excluded.

    Raises:
        DataError: nothing is lit.
    """
    lit = cv2.cvtColor(image, cv2.COLOR_BGR2GRAY) > threshold
    rows, columns = np.flatnonzero(lit.any(axis=1)), np.flatnonzero(lit.any(axis=0))
    if not len(rows):
        raise DataError(f'no pixel of the image is brighter than {threshold}: it has no field of view to cut to')
    return int(rows[0]), int(columns[0]), int(rows[-1]) + 1, int(columns[-1]) + 1


def enhance_contrast(image: np.ndarray, sigma: float = 15.0) -> np.ndarray:
    """Take the slow part of the illumination away: ``4 I - 4 blur(I) + 128``, clipped.

    Args:
        image (np.ndarray): shape (H, W, 3), uint8.
        sigma (float): Standard deviation of the Gaussian, in pixels.

    Returns:
        np.ndarray: shape (H, W, 3), uint8.
    """
    return cv2.addWeighted(image, 4, cv2.GaussianBlur(image, (0, 0), sigma), -4, 128)


def apply_field_of_view(
    image: np.ndarray, mode: str, size: tuple[int, int]
) -> tuple[np.ndarray, tuple[int, int, int, int] | None]:
    """Cut a photograph to its field of view, stretch it, enhance it: what ``mode`` names of that.

    Args:
        image (np.ndarray): shape (H, W, 3), uint8, BGR, at native size.
        mode (str): 'none', 'crop_resize' or 'crop_resize_enhance'.
        size (tuple[int, int]): Width and height of the result; the aspect ratio is not kept.

    Returns:
        tuple: The picture, and the box y0, x0, y1, x1 it was cut to, None for 'none'.
    """
    if mode == 'none':
        return image, None
    box = field_of_view_box(image)
    image = cv2.resize(image[box[0] : box[2], box[1] : box[3]], tuple(size), interpolation=cv2.INTER_LINEAR)
    return (enhance_contrast(image) if mode == 'crop_resize_enhance' else image), box


@TRANSFORMS.register_module()
class FieldOfView(BaseTransform):
    """The original project's offline preparation of photographs, done while loading.

    It belongs right behind ``LoadFundusImage()`` without a scale, before labels are loaded: those follow the recorded
    box. Predictions are put back into it.

    Required keys: ``img`` at native size.

    Changed keys: ``img``, ``img_shape``, ``pad_shape``, ``scale_factor``.

    Added keys: ``crop_box`` (y0, x0, y1, x1) in native pixels, unless ``mode`` is 'none'.

    Args:
        mode (str): 'none', 'crop_resize', or 'crop_resize_enhance' which also takes the slow illumination away.
        size (tuple[int, int]): Width and height after stretching.
    """

    def __init__(self, mode: str = 'none', size: tuple[int, int] = (1280, 1280)) -> None:
        super().__init__()
        if mode not in MODES:
            raise ValueError(f'mode of FieldOfView must be one of {MODES}, found {mode!r}')
        self.mode = mode
        self.size = (int(size[0]), int(size[1]))

    def transform(self, results: dict) -> dict:
        """Cut, stretch, enhance.

        Raises:
            DataError: the photograph is black.
            RuntimeError: the image is not at its native size any more.
        """
        if self.mode != 'none' and results['img'].shape[:2] != tuple(results['ori_shape'][:2]):
            raise RuntimeError('FieldOfView needs the image at its native size: put it behind LoadFundusImage().')
        image, box = apply_field_of_view(results['img'], self.mode, self.size)
        if box is not None:
            shape = image.shape[:2]
            factor = (shape[1] / (box[3] - box[1]), shape[0] / (box[2] - box[0]))
            results.update(img=image, img_shape=shape, pad_shape=shape, scale_factor=factor, crop_box=box)
        return results

    def __repr__(self) -> str:
        return f'{type(self).__name__}(mode={self.mode!r}, size={self.size})'
