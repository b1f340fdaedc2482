from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from mmcv.transforms import BaseTransform

from mmseg_medical.datasets.errors import data_error
from mmseg_medical.datasets.transforms.volume_grid import GridTransform, current_grid
from mmseg_medical.errors import ConfigError
from mmseg_medical.geometry import Grid, GridStep, Resample
from mmseg_medical.geometry.grid_step import Order
from mmseg_medical.registry import TRANSFORMS


@TRANSFORMS.register_module()
class ResampleInPlane(GridTransform):
    """Bring the first two axes to a spacing or to a size; slices stay as many and where they are.

    Required and changed keys: as of ``ResampleVolume``; of a volume (C, I, J, K) or a slice (C, I, J).

    Args:
        spacing_mm (float | Sequence[float] | None): Wanted along both axes, or along each.
        size (Sequence[int] | None): Pixels instead; (224, 224) is what HDC-HRNet was made for. The ratio of the sides
            is not kept.
        antialias (bool): Smooth an axis that gets fewer pixels, by a Gaussian of (old / new - 1) / 2 pixels, as the
            resizing of scikit-image does.
        label_order (str): ``'nearest'``, or ``'label_linear'``: linear for each label, the largest wins.

    Raises:
        ConfigError: Not one of ``spacing_mm`` and ``size`` is given, or not positive.
        DataError: (when called) ``spacing_mm`` is wanted of an image without an affine.
    """

    def __init__(
        self,
        spacing_mm: float | Sequence[float] | None = None,
        size: Sequence[int] | None = None,
        antialias: bool = True,
        label_order: Order = 'nearest',
    ) -> None:
        BaseTransform.__init__(self)
        pair = [spacing_mm] * 2 if isinstance(spacing_mm, int | float) else spacing_mm
        given = size if pair is None else pair
        if (pair is None) == (size is None) or given is None or len(given) != 2 or not min(given) > 0:
            raise ConfigError(
                'ResampleInPlane takes spacing_mm or size, two positive numbers, found '
                f'spacing_mm={spacing_mm}, size={size}'
            )
        if label_order not in ('nearest', 'label_linear'):
            raise ConfigError(f"label_order must be 'nearest' or 'label_linear', found {label_order!r}")
        self.spacing_mm = None if pair is None else tuple(float(s) for s in pair)
        self.size = None if size is None else tuple(int(n) for n in size)
        self.antialias = antialias
        self.label_order = label_order

    def plan(self, grid: Grid, results: dict[str, Any]) -> GridStep:
        """See the base class."""
        if self.size is not None:
            return Resample.plan(grid, size=(*self.size, *grid.size[2:]), anisotropy=math.inf)
        spacing = grid.spacing_mm
        if spacing is None or self.spacing_mm is None:
            raise data_error(
                str(results.get('img_path', 'image')),
                expected='an affine, to know the spacing to resample from',
                found='a file without geometry',
                remedy='Give ResampleInPlane a size, or store the image in a format with geometry.',
            )
        return Resample.plan(grid, spacing_mm=(*self.spacing_mm, *spacing[2:]), anisotropy=math.inf)

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Smooth where pixels are dropped, then as the base class."""
        if self.antialias:
            old = results['img'].shape[1:3]
            new = self.plan(current_grid(results), results).target.size[:2]
            sigma = [max(0.0, (a / b - 1) / 2) for a, b in zip(old, new, strict=True)]
            results['img'] = smoothed(results['img'], sigma)
        return super().transform(results)

    def __repr__(self) -> str:
        return (
            f'{type(self).__name__}(spacing_mm={self.spacing_mm}, size={self.size}, antialias={self.antialias}, '
            f'label_order={self.label_order!r})'
        )


def smoothed(image: np.ndarray, sigma: Sequence[float]) -> np.ndarray:
    """Smooth the first two axes of an image (C, I, J, ...) by Gaussians of ``sigma`` pixels, mirrored at its edges."""
    from scipy import ndimage

    if not any(sigma):
        return image
    rest = (0.0,) * (image.ndim - 3)
    return ndimage.gaussian_filter(image, (0.0, *sigma, *rest), mode='mirror')
