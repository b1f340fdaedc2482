# ruff: noqa: NPY002 - the sampler seeds numpy's global generator for every sample
from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from mmcv.transforms import BaseTransform

from mmseg_medical.datasets.patch_sampling import draw_centred_patch
from mmseg_medical.datasets.transforms.random_patch import RandomPatch
from mmseg_medical.datasets.transforms.volume_checks import check_label_follows
from mmseg_medical.errors import ConfigError
from mmseg_medical.geometry.points import world_to_voxel
from mmseg_medical.registry import TRANSFORMS


@TRANSFORMS.register_module()
class RandomNodulePatch(BaseTransform):
    """Cut a patch around a nodule with a chosen probability, otherwise one from inside the lungs.

    Every nodule of a scan has the same chance, whatever its size, and lies up to ``jitter`` of the patch from its
    middle. Background patches are centred on a point of the lungs, or lie anywhere where there is no map of them. A
    patch stays within the scan; a scan that is smaller lies anywhere in it.

    Required keys: ``img`` (C, *S), ``affine``, ``nodules`` (N, 4) in RAS mm; ``gt_seg_map`` where there are labels;
    ``lung_points_mm`` of ``LoadLungField``.

    Changed keys, record and replay: as for ``RandomPatch``; ``drawn_class`` is 1 of a patch around a nodule.

    Args:
        patch_size (Sequence[int]): Voxels along each axis.
        nodule_prob (float): Probability of a patch around a nodule, where the scan has one.
        jitter (float): Largest distance of a nodule from the middle of the patch, as a part of its size.
        pad_val (float): Image value outside the scan; 0 is air behind a window that begins at -1000 HU.
        seg_pad_val (int): Label there.
    """

    def __init__(
        self,
        patch_size: Sequence[int],
        nodule_prob: float = 0.5,
        jitter: float = 0.25,
        pad_val: float = 0.0,
        seg_pad_val: int = 0,
    ) -> None:
        super().__init__()
        if len(patch_size) != 3 or min(patch_size) < 1 or not 0 <= nodule_prob <= 1 or not 0 <= jitter < 0.5:
            raise ConfigError(
                'patch_size of RandomNodulePatch must be three positive numbers, nodule_prob lie in [0, 1] and jitter '
                f'in [0, 0.5), found {patch_size}, {nodule_prob} and {jitter}'
            )
        self.patch_size = tuple(int(n) for n in patch_size)
        self.nodule_prob = nodule_prob
        self.jitter = jitter
        self.pad_val = pad_val
        self.seg_pad_val = seg_pad_val

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Draw, cut, record.

        Raises:
            RuntimeError: The labels lie on another grid than the image.
        """
        check_label_follows(results, type(self).__name__)
        size = results['img'].shape[1:]
        nodules, lungs = results['nodules'], results.get('lung_points_mm')
        asked = np.random.random_sample() < self.nodule_prob and len(nodules) > 0
        places = nodules[:, :3] if asked else lungs
        center = None
        if places is not None and len(places):
            place = np.asarray(places)[np.random.randint(len(places))]
            center = world_to_voxel(place, np.asarray(results['affine']))[0]
        start = draw_centred_patch(size, self.patch_size, center, self.jitter if asked else 0.0)
        record = dict(
            type='RandomPatch',
            start=list(start),
            size=list(self.patch_size),
            drawn_class=1 if asked else None,
            pad_val=self.pad_val,
            seg_pad_val=self.seg_pad_val,
        )
        return self.replay(results, record)

    @staticmethod
    def replay(results: dict[str, Any], record: Mapping[str, Any]) -> dict[str, Any]:
        """Cut again what ``record`` of ``augmentations`` says."""
        return RandomPatch.replay(results, record)

    def __repr__(self) -> str:
        return (
            f'{type(self).__name__}(patch_size={self.patch_size}, nodule_prob={self.nodule_prob}, '
            f'jitter={self.jitter}, pad_val={self.pad_val}, seg_pad_val={self.seg_pad_val})'
        )
