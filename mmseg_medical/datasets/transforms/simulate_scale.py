from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from mmcv.transforms import BaseTransform
from torch.nn.functional import interpolate

from mmseg_medical import ops
from mmseg_medical.datasets.transforms.volume_checks import check_label_follows
from mmseg_medical.datasets.transforms.volume_grid import current_grid
from mmseg_medical.errors import ConfigError
from mmseg_medical.geometry import CropPad, Grid, GridStep, Resample
from mmseg_medical.geometry.grid_step import Box, Fill, Order
from mmseg_medical.registry import TRANSFORMS

MODES = ('native', 'upsample', 'pad')


@dataclass(frozen=True)
class FirstOfBlock(GridStep):
    """Another size by nearest neighbour as torch's ``nearest`` does it: voxel ``floor(i source / target)``."""

    def inverse(self) -> FirstOfBlock:
        """Return the step back."""
        return FirstOfBlock(self.target, self.source)

    def needed(self, box: Box, order: Order) -> Box:
        """Return the part of the source that is looked at."""
        lines = zip(box, self.source.size, self.target.size, strict=True)
        return tuple(
            (start * old // new, (stop - 1) * old // new + 1 if stop > start else start * old // new)
            for (start, stop), old, new in lines
        )

    def covered(self, box: Box) -> Box:
        """Return the voxels that look at a part of the source."""
        lines = zip(box, self.source.size, self.target.size, strict=True)
        return tuple((-(-start * new // old), -(-stop * new // old)) for (start, stop), old, new in lines)

    def apply_box(self, array: np.ndarray, box: Box, order: Order, fill: Fill = 0) -> np.ndarray:
        """Pick voxels, whatever the order."""
        lead = array.ndim - len(box)
        begin = self.needed(box, order)
        for axis, (start, stop) in enumerate(box):
            places = np.arange(start, stop) * self.source.size[axis] // self.target.size[axis] - begin[axis][0]
            array = array.take(places, axis=lead + axis)
        return array


@TRANSFORMS.register_module()
class SimulateScale(BaseTransform):
    """Make a case as if it had been taken at 1/2, 1/4 or 1/8 of its resolution, to test on several scales.

    From here on the coarse grid counts as that of the file: labels lie on it, and predictions are brought back to it
    and scored there. Put it behind ``LoadVolumeAnnotations`` and the transforms that make the sizes of all cases one,
    and in front of the normalisation.

    - ``'native'``: the coarse image itself, for networks that take any resolution;
    - ``'upsample'``: the coarse image, interpolated back to the size it had: what is left to other networks;
    - ``'pad'``: the coarse image in the middle of zeros.

    ``compat=True`` does it as the published evaluation of RARE-UNet: images by trilinear interpolation that reads two
    voxels an axis, labels by the first voxel of each block. The two then lie up to 3.5 fine voxels apart at 1/8, and
    the affine, scaled about the centre of the first voxel, fits the labels. Of a prediction at the size the image had
    (``'upsample'``) the same voxels are scored. ``compat=False`` averages the image over each block and takes the label
    that is strongest around its centre; the affine keeps the field of view.

    Required keys: those of ``LoadVolume``, and ``gt_seg_map`` where there are labels.

    Changed keys: ``img``, ``gt_seg_map``, ``img_shape``, ``ori_shape``, ``native_grid``, ``affine``, ``spacing_mm``,
    ``grid_steps`` (what leads from the coarse grid to that of ``img``).

    Added keys: ``scale_level``.

    Args:
        level (int): 0 for full resolution, 1 for 1/2, 2 for 1/4, 3 for 1/8.
        mode (str): One of the above.
        compat (bool): See above.
    """

    def __init__(self, level: int, mode: str = 'native', compat: bool = True) -> None:
        super().__init__()
        if level < 0 or mode not in MODES:
            raise ConfigError(
                f'level of SimulateScale must not be negative and mode one of {MODES}, found {level}, {mode!r}'
            )
        self.level = int(level)
        self.mode = mode
        self.compat = compat

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Make the coarse case.

        Raises:
            RuntimeError: The labels do not lie on the grid of the image.
        """
        check_label_follows(results, type(self).__name__)
        fine = current_grid(results)
        size = tuple(max(1, round(n / 2**self.level)) for n in fine.size)
        coarse = Grid(size, self._affine(fine, size))
        image = _resize(results['img'], size, self._linear(fine.rank) if self.compat else 'area')
        if 'gt_seg_map' in results:
            results['gt_seg_map'] = resize_labels(results['gt_seg_map'], size, self.compat)
        step = self._step(coarse, fine)
        if step is not None:
            image = step.apply(image) if self.mode == 'pad' else _resize(image, fine.size, self._linear(fine.rank))
        grid = coarse if step is None else step.target
        results.update(
            img=image,
            native_grid=coarse,
            ori_shape=coarse.size,
            img_shape=grid.size,
            affine=grid.affine,
            spacing_mm=grid.spacing_mm,
            grid_steps=[] if step is None else [step],
            labels_on_native_grid=step is not None,
            scale_level=self.level,
        )
        results.pop('class_locations', None)
        return results

    def _step(self, coarse: Grid, fine: Grid) -> GridStep | None:
        if self.mode == 'native' or coarse.size == fine.size:
            return None
        if self.mode == 'pad':
            return CropPad.plan(coarse, size=fine.size)
        return FirstOfBlock(coarse, fine) if self.compat else Resample.plan(coarse, size=fine.size)

    def _affine(self, fine: Grid, size: Sequence[int]) -> np.ndarray | None:
        if fine.affine is None:
            return None
        factors = np.array([2.0**self.level] * fine.rank if self.compat else np.array(fine.size) / size)
        affine = np.array(fine.affine)
        if not self.compat:  # centre of the first block
            affine[:3, 3] += affine[:3, : fine.rank] @ ((factors - 1) / 2)
        affine[:3, : fine.rank] *= factors
        return affine

    @staticmethod
    def _linear(rank: int) -> str:
        return 'trilinear' if rank == 3 else 'bilinear'

    def __repr__(self) -> str:
        return f'{type(self).__name__}(level={self.level}, mode={self.mode!r}, compat={self.compat})'


def resize_labels(labels: np.ndarray, size: Sequence[int], compat: bool = False) -> np.ndarray:
    """Bring labels to another size.

    Args:
        labels (np.ndarray): shape (*lead, *S), any dtype.
        size (Sequence[int]): Wanted, one number for each axis of S.
        compat (bool): Take voxel ``floor(i S / size)``, as torch's ``nearest`` does; else the label that is
            strongest at the centre of the new voxel, see :func:`~mmseg_medical.ops.resize_labels`.

    Returns:
        np.ndarray: shape (*lead, *size).
    """
    lead = labels.ndim - len(size)
    if labels.shape[lead:] == tuple(size):
        return labels
    if not compat:
        return ops.resize_labels(torch.from_numpy(np.ascontiguousarray(labels)), size).numpy()
    for axis, (have, want) in enumerate(zip(labels.shape[lead:], size, strict=True)):
        labels = labels.take(np.arange(want) * have // want, axis=lead + axis)
    return np.ascontiguousarray(labels)


def _resize(image: np.ndarray, size: Sequence[int], mode: str) -> np.ndarray:
    corners = {} if mode == 'area' else {'align_corners': False}
    tensor = torch.from_numpy(np.ascontiguousarray(image))[None]
    return interpolate(tensor, size=tuple(size), mode=mode, **corners)[0].numpy()
