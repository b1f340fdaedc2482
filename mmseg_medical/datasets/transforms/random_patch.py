from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from mmcv.transforms import BaseTransform

from mmseg_medical.datasets.patch_sampling import cut_patch, draw_patch
from mmseg_medical.datasets.transforms.volume_checks import check_label_follows
from mmseg_medical.registry import TRANSFORMS


@TRANSFORMS.register_module()
class RandomPatch(BaseTransform):
    """Cut a patch that contains foreground with a chosen probability.

    A class is drawn among those present, then one of its voxels, then the patch uniformly among all that contain it:
    see :func:`~mmseg_medical.datasets.patch_sampling.draw_patch`. A volume smaller than the patch lies anywhere in it.

    Required keys: ``img``; ``gt_seg_map`` where there are labels; ``class_locations`` ({class: (n, rank) voxels}) where
    a store knows them, which saves the search.

    Changed keys: ``img``, ``gt_seg_map``, ``img_shape``, ``affine``. ``class_locations`` is removed.

    Recorded: ``start`` (voxel, negative where the patch begins before the volume), ``size``, ``drawn_class``,
    ``pad_val``, ``seg_pad_val``.

    Args:
        patch_size (Sequence[int]): Voxels along each axis.
        foreground_prob (float): Probability of asking for a class.
        class_probs (Mapping[int, float] | Sequence[float] | None): Weight of each class (by number; masks count from
            0). Classes without one are never asked for. None weighs all but the background the same.
        pad_val (float): Image value outside the volume.
        seg_pad_val (int): Label there, 0 for background or ``ignore_index``.
        ignore_index (int): Label that is no class.
    """

    def __init__(
        self,
        patch_size: Sequence[int],
        foreground_prob: float = 0.33,
        class_probs: Mapping[int, float] | Sequence[float] | None = None,
        pad_val: float = 0.0,
        seg_pad_val: int = 0,
        ignore_index: int = 255,
    ) -> None:
        super().__init__()
        if len(patch_size) not in (2, 3) or min(patch_size) < 1 or not 0 <= foreground_prob <= 1:
            raise ValueError(
                f'patch_size must be two or three positive numbers and foreground_prob in [0, 1], found {patch_size} '
                f'and {foreground_prob}'
            )
        self.patch_size = tuple(int(n) for n in patch_size)
        self.foreground_prob = foreground_prob
        self.class_probs = _by_class(class_probs)
        self.pad_val = pad_val
        self.seg_pad_val = seg_pad_val
        self.ignore_index = ignore_index

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Draw, cut, record.

        Raises:
            RuntimeError: The labels lie on another grid than the image.
            ValueError: The image has another rank than the patch.
        """
        size = results['img'].shape[1:]
        if len(size) != len(self.patch_size):
            raise ValueError(f'patch_size {self.patch_size} is for {len(self.patch_size)} axes, the image has {size}')
        check_label_follows(results, type(self).__name__)
        labels = results.pop('class_locations', None)
        if labels is None:
            labels = results.get('gt_seg_map')
        start, drawn = draw_patch(
            size, self.patch_size, labels, self.foreground_prob, self.class_probs, self.ignore_index
        )
        record = dict(
            type='RandomPatch',
            start=list(start),
            size=list(self.patch_size),
            drawn_class=drawn,
            pad_val=self.pad_val,
            seg_pad_val=self.seg_pad_val,
        )
        return self.replay(results, record)

    @staticmethod
    def replay(results: dict[str, Any], record: Mapping[str, Any]) -> dict[str, Any]:
        """Cut again what ``record`` of ``augmentations`` says."""
        start, size = record['start'], tuple(record['size'])
        results['img'] = cut_patch(results['img'], start, size, record['pad_val'])
        if 'gt_seg_map' in results:
            results['gt_seg_map'] = cut_patch(results['gt_seg_map'], start, size, record['seg_pad_val'])
        results['img_shape'] = size
        if results.get('affine') is not None:
            results['affine'] = moved_origin(results['affine'], start)
        results.pop('class_locations', None)
        results['augmentations'] = [*results.get('augmentations', []), dict(record)]
        return results

    def __repr__(self) -> str:
        return (
            f'{type(self).__name__}(patch_size={self.patch_size}, foreground_prob={self.foreground_prob}, '
            f'class_probs={self.class_probs}, pad_val={self.pad_val}, seg_pad_val={self.seg_pad_val}, '
            f'ignore_index={self.ignore_index})'
        )


def moved_origin(affine: np.ndarray, start: Sequence[float]) -> np.ndarray:
    """Affine of a grid whose first voxel is the voxel ``start`` of the old one."""
    moved = np.array(affine, np.float64)
    moved[:3, 3] += moved[:3, : len(start)] @ np.asarray(start, np.float64)
    return moved


def _by_class(class_probs: Mapping[int, float] | Sequence[float] | None) -> dict[int, float] | None:
    if class_probs is None:
        return None
    pairs = class_probs.items() if isinstance(class_probs, Mapping) else enumerate(class_probs)
    weights = {int(k): float(weight) for k, weight in pairs}
    if not weights or min(weights.values()) < 0 or not sum(weights.values()) > 0:
        raise ValueError(f'class_probs must hold weights that are not negative, one of them positive, found {weights}')
    return weights
