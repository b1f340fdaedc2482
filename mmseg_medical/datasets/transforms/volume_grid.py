"""Deterministic changes of the grid, recorded so that predictions find back to the file."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from mmcv.transforms import BaseTransform

from mmseg_medical.datasets.errors import data_error
from mmseg_medical.datasets.transforms.volume_checks import check_label_follows
from mmseg_medical.errors import ConfigError
from mmseg_medical.geometry import CropPad, Grid, GridStep, Reorient, Resample
from mmseg_medical.geometry.grid_step import Order
from mmseg_medical.registry import TRANSFORMS

IMAGE_ORDERS = ('nearest', 'linear', 'cubic')
LABEL_ORDERS = ('nearest', 'label_linear')


class GridTransform(BaseTransform):
    """Base of transforms that plan one step of the grid, apply it to image and labels, and record it.

    Required keys: ``img``; ``gt_seg_map`` where labels move along (training).

    Changed keys: these, ``img_shape``, ``affine``, ``spacing_mm``. ``grid_steps`` gets the step.
    """

    image_order: Order = 'linear'
    label_order: Order = 'nearest'
    pad_val: float = 0.0
    seg_pad_val: int = 0

    def plan(self, grid: Grid, results: dict[str, Any]) -> GridStep:
        """Return the step from ``grid``, where the image is now."""
        raise NotImplementedError

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Plan, apply, record.

        Raises:
            RuntimeError: There are labels on another grid than the image.
        """
        check_label_follows(results, type(self).__name__)
        step = self.plan(current_grid(results), results)
        results['img'] = np.ascontiguousarray(step.apply(results['img'], self.image_order, self.pad_val), np.float32)
        if 'gt_seg_map' in results:
            results['gt_seg_map'] = step.apply(results['gt_seg_map'], self.label_order, self.seg_pad_val)
        results.pop('class_locations', None)  # they were voxels of the old grid
        grid = step.target
        results.update(img_shape=grid.size, affine=grid.affine, spacing_mm=grid.spacing_mm)
        results['grid_steps'] = [*results.get('grid_steps', []), step]
        return results


@TRANSFORMS.register_module()
class ReorientVolume(GridTransform):
    """Turn the axes to an anatomical order, without interpolation; an image without an affine stays as it is.

    Args:
        axes (str): Where each axis points to: R or L, A or P, S or I, e.g. ``'RAS'``.
    """

    def __init__(self, axes: str = 'RAS') -> None:
        super().__init__()
        self.axes = axes

    def plan(self, grid: Grid, results: dict[str, Any]) -> GridStep:
        """See the base class."""
        return Reorient.plan(grid, self.axes)

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Turn, unless nothing is known of the axes."""
        return results if current_grid(results).affine is None else super().transform(results)

    def __repr__(self) -> str:
        return f'{type(self).__name__}({self.axes!r})'


@TRANSFORMS.register_module()
class ResampleVolume(GridTransform):
    """Bring the voxels to a spacing; the field of view stays.

    Args:
        spacing_mm (Sequence[float]): Along each axis, after any ``ReorientVolume`` before.
        image_order (str): ``'linear'``, ``'cubic'`` or ``'nearest'``.
        label_order (str): ``'nearest'``, or ``'label_linear'``: linear for each label, the largest wins.

    Raises:
        DataError: (when called) the image has no affine, so that nobody knows its spacing.
    """

    def __init__(
        self, spacing_mm: Sequence[float], image_order: Order = 'linear', label_order: Order = 'nearest'
    ) -> None:
        super().__init__()
        if not spacing_mm or min(spacing_mm) <= 0:
            raise ConfigError(f'spacing_mm of ResampleVolume must be positive, found {spacing_mm}')
        if image_order not in IMAGE_ORDERS or label_order not in LABEL_ORDERS:
            raise ConfigError(
                f'image_order must be one of {IMAGE_ORDERS} and label_order one of {LABEL_ORDERS}, found '
                f'{image_order!r} and {label_order!r}'
            )
        self.spacing_mm = tuple(float(s) for s in spacing_mm)
        self.image_order = image_order
        self.label_order = label_order

    def plan(self, grid: Grid, results: dict[str, Any]) -> GridStep:
        """See the base class."""
        if grid.affine is None:
            raise data_error(
                str(results.get('img_path', 'image')),
                expected='an affine, to know the spacing to resample from',
                found='a file without geometry',
                remedy='Take ResampleVolume out of the pipeline, or store the image in a format with geometry.',
            )
        return Resample.plan(grid, spacing_mm=self.spacing_mm)

    def __repr__(self) -> str:
        return (
            f'{type(self).__name__}(spacing_mm={self.spacing_mm}, image_order={self.image_order!r}, '
            f'label_order={self.label_order!r})'
        )


@TRANSFORMS.register_module()
class CropOrPadVolume(GridTransform):
    """Cut or fill each axis to a size, centred.

    Args:
        size (Sequence[int | None] | None): Voxels along each axis; None for an axis, or for all, keeps the size.
        multiple_of (int | Sequence[int] | None): Then fill up to the next multiple of it, for networks that halve.
        pad_val (float): Image value outside.
        seg_pad_val (int): Label there, 0 for background or ``ignore_index``.
        odd_end (str): Where one voxel more is cut or filled if their number is odd, ``'upper'`` or ``'lower'``. TorchIO
            takes the lower end.
    """

    def __init__(
        self,
        size: Sequence[int | None] | None = None,
        multiple_of: int | Sequence[int] | None = None,
        pad_val: float = 0.0,
        seg_pad_val: int = 0,
        odd_end: str = 'upper',
    ) -> None:
        super().__init__()
        if odd_end not in ('upper', 'lower'):
            raise ConfigError(f"odd_end of CropOrPadVolume must be 'upper' or 'lower', found {odd_end!r}")
        numbers = [*(n for n in size or () if n is not None), *np.atleast_1d(multiple_of or 1)]
        if min(numbers) < 1:
            raise ConfigError(f'size and multiple_of of CropOrPadVolume must be positive, found {size}, {multiple_of}')
        self.size = None if size is None else tuple(size)
        self.multiple_of = multiple_of
        self.pad_val = pad_val
        self.seg_pad_val = seg_pad_val
        self.odd_end = odd_end

    def plan(self, grid: Grid, results: dict[str, Any]) -> GridStep:
        """See the base class."""
        size = self.size or (None,) * grid.rank
        divisors = np.broadcast_to(self.multiple_of or 1, grid.rank)
        if len(size) != grid.rank:
            raise ConfigError(f'size {self.size} of CropOrPadVolume is for {len(size)} axes, the image has {grid.rank}')
        wanted = [have if want is None else want for have, want in zip(grid.size, size, strict=True)]
        wanted = [int(-(-n // d) * d) for n, d in zip(wanted, divisors, strict=True)]
        if self.odd_end == 'upper':
            return CropPad.plan(grid, size=wanted)
        starts = [
            int(np.copysign(-(-abs(have - want) // 2), have - want))
            for have, want in zip(grid.size, wanted, strict=True)
        ]
        return CropPad.plan(grid, box=[(start, start + want) for start, want in zip(starts, wanted, strict=True)])

    def __repr__(self) -> str:
        return (
            f'{type(self).__name__}(size={self.size}, multiple_of={self.multiple_of}, pad_val={self.pad_val}, '
            f'seg_pad_val={self.seg_pad_val}, odd_end={self.odd_end!r})'
        )


@TRANSFORMS.register_module()
class CropToForeground(GridTransform):
    """Cut to the bounding box of what is brighter than a threshold in any channel; an empty image stays whole.

    Args:
        threshold (float): In the values the image has at this place of the pipeline.
        margin_mm (float | None): Kept around it, in millimetres.
        margin_voxels (int): The same in voxels, used where ``margin_mm`` is None.
    """

    def __init__(self, threshold: float = 0.0, margin_mm: float | None = None, margin_voxels: int = 0) -> None:
        super().__init__()
        if margin_voxels < 0 or (margin_mm is not None and margin_mm < 0):
            raise ConfigError(f'margins of CropToForeground must not be negative, found {margin_mm}, {margin_voxels}')
        self.threshold = threshold
        self.margin_mm = margin_mm
        self.margin_voxels = margin_voxels

    def plan(self, grid: Grid, results: dict[str, Any]) -> GridStep:
        """See the base class."""
        bright = (results['img'] > self.threshold).any(axis=0)
        margins = [self.margin_voxels] * grid.rank
        if self.margin_mm is not None:
            if grid.spacing_mm is None:
                raise ConfigError('margin_mm of CropToForeground needs images with an affine; set margin_voxels')
            margins = [int(np.ceil(self.margin_mm / spacing)) for spacing in grid.spacing_mm]
        box = []
        for axis, (length, margin) in enumerate(zip(grid.size, margins, strict=True)):
            lit = np.flatnonzero(bright.any(axis=tuple(a for a in range(grid.rank) if a != axis)))
            low, high = (int(lit[0]), int(lit[-1]) + 1) if len(lit) else (0, length)
            box.append((max(low - margin, 0), min(high + margin, length)))
        return CropPad.plan(grid, box=tuple(box))

    def __repr__(self) -> str:
        return (
            f'{type(self).__name__}(threshold={self.threshold}, margin_mm={self.margin_mm}, '
            f'margin_voxels={self.margin_voxels})'
        )


def current_grid(results: dict[str, Any]) -> Grid:
    """Grid of the image as it is now."""
    return Grid(tuple(results['img'].shape[1:]), results.get('affine'))
