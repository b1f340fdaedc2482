# ruff: noqa: NPY002 - mmengine seeds numpy's global generator in every worker
from __future__ import annotations

import cv2
import mmcv
import numpy as np
from mmcv.transforms import BaseTransform
from mmcv.transforms.utils import cache_randomness

from mmseg_medical.datasets.image_io import choose_reduction, decode_image, image_size, is_jpeg, read_bytes
from mmseg_medical.registry import TRANSFORMS


@TRANSFORMS.register_module()
class LoadFundusImage(BaseTransform):
    """Load a photograph and bring it to a scale, decoding no more pixels than that scale needs.

    It replaces mmseg's ``LoadImageFromFile`` followed by ``Resize`` or ``RandomResize`` and yields the same sizes. The
    scale is drawn before the file is decoded, so that a JPEG can be decoded at 1/2, 1/4 or 1/8 of its size whenever
    that is still at least the wanted one. The result is slightly smoother than mmseg's, which skips pixels.

    Required keys: ``img_path``, or ``img`` (H, W, 3) where the picture is in memory already.

    Added keys: ``img`` (H, W, 3) uint8 BGR, ``ori_shape`` (native height and width), ``img_shape``, ``pad_shape``,
    ``scale``, ``scale_factor`` (width, height), ``keep_ratio``, ``decode_reduction``, and with a
    ``ratio_range`` ``resize_ratio``, the draw.

    Args:
        scale (tuple[int, int], optional): With ``keep_ratio`` the long edge is at most its larger and the short edge
            at most its smaller number; without, (width, height). None keeps the native size.
        ratio_range (tuple[float, float], optional): ``scale`` is multiplied by a ratio drawn uniformly from it.
        keep_ratio (bool): Whether the aspect ratio is kept.
        reduced_decode (bool): False decodes in full and gives exactly mmseg's pixels.
    """

    def __init__(
        self,
        scale: tuple[int, int] | None = None,
        ratio_range: tuple[float, float] | None = None,
        *,
        keep_ratio: bool = True,
        reduced_decode: bool = True,
    ) -> None:
        super().__init__()
        if ratio_range is not None and (scale is None or not 0 < ratio_range[0] <= ratio_range[1]):
            raise ValueError(f'ratio_range needs a scale and 0 < low <= high, found {ratio_range} with scale {scale}')
        self.scale = None if scale is None else (int(scale[0]), int(scale[1]))
        self.ratio_range = ratio_range
        self.keep_ratio = keep_ratio
        self.reduced_decode = reduced_decode

    @cache_randomness
    def _draw_ratio(self) -> float:
        if self.ratio_range is None:
            return 1.0
        low, high = self.ratio_range
        return float(np.random.random_sample() * (high - low) + low)

    def transform(self, results: dict) -> dict:
        """Load and resize.

        Raises:
            DataError: the file is missing, empty, truncated, or no image.
        """
        ratio = self._draw_ratio()
        data = b'' if 'img' in results else read_bytes(results['img_path'])
        native = results['img'].shape[:2] if 'img' in results else image_size(data, results['img_path'])
        scale, size = self._target(native, ratio)
        reduction = 1
        if 'img' in results:
            image = results['img']
        else:
            if self.reduced_decode and is_jpeg(data):
                reduction = choose_reduction(native, size)
            image = decode_image(data, results['img_path'], reduction)
        image = _resize(image, native, size, reduction)
        results.update(
            img=image,
            ori_shape=native,
            img_shape=size,
            pad_shape=size,
            scale=scale,
            scale_factor=(size[1] / native[1], size[0] / native[0]),
            keep_ratio=self.keep_ratio,
            decode_reduction=reduction,
        )
        if self.ratio_range is not None:
            results['resize_ratio'] = ratio
        return results

    def _target(self, native: tuple[int, int], ratio: float) -> tuple[tuple[int, int], tuple[int, int]]:
        """Scale as mmseg would draw it, and the height and width that follow."""
        if self.scale is None:
            return native[::-1], native
        scale = (int(self.scale[0] * ratio), int(self.scale[1] * ratio))
        width, height = mmcv.rescale_size(native[::-1], scale) if self.keep_ratio else scale
        return scale, (height, width)

    def __repr__(self) -> str:
        return (
            f'{type(self).__name__}(scale={self.scale}, ratio_range={self.ratio_range}, '
            f'keep_ratio={self.keep_ratio}, reduced_decode={self.reduced_decode})'
        )


def _resize(image: np.ndarray, native: tuple[int, int], size: tuple[int, int], reduction: int) -> np.ndarray:
    if all(length % reduction == 0 for length in native):
        if image.shape[:2] == size:
            return image
        return mmcv.imresize(image, size[::-1], interpolation='bilinear', backend='cv2')
    # The last decoded pixels reach beyond the picture: stretching them into it would shift it against its label.
    (height, width), steps = size, [have / want / reduction for have, want in zip(native, size, strict=True)]
    to_source = np.array([[steps[1], 0, steps[1] / 2 - 0.5], [0, steps[0], steps[0] / 2 - 0.5]])
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return cv2.warpAffine(image, to_source, (width, height), flags=flags, borderMode=cv2.BORDER_REPLICATE)
