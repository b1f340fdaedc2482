# ruff: noqa: NPY002 - the sampler seeds numpy's global generator for every sample
from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from mmcv.transforms import BaseTransform

from mmseg_medical.datasets.transforms.volume_checks import check_label_follows
from mmseg_medical.registry import TRANSFORMS


@TRANSFORMS.register_module()
class RandomFlipVolume(BaseTransform):
    """Mirror image and labels along each of some axes, independently.

    Labels keep their numbers: leave out an axis across which classes are told apart by side. The affine stays too:
    what is mirrored is the patient, not the grid.

    Required keys: ``img``, and ``gt_seg_map`` where there are labels; both are changed.

    Recorded, if anything is mirrored: ``axes``.

    Args:
        axes (Sequence[int]): Spatial axes, counted from 0.
        prob (float): Probability for each axis.
    """

    def __init__(self, axes: Sequence[int] = (0, 1, 2), prob: float = 0.5) -> None:
        super().__init__()
        if not set(axes) <= {0, 1, 2} or not 0 <= prob <= 1:
            raise ValueError(f'axes must be among 0, 1, 2 and prob in [0, 1], found {axes} and {prob}')
        self.axes = tuple(int(axis) for axis in axes)
        self.prob = prob

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Draw, mirror, record.

        Raises:
            RuntimeError: The labels lie on another grid than the image.
            ValueError: The image does not have these axes.
        """
        rank = results['img'].ndim - 1
        if max(self.axes, default=0) >= rank:
            raise ValueError(f'axes {self.axes} of RandomFlipVolume: the image has {rank}, counted from 0')
        check_label_follows(results, type(self).__name__)
        drawn = np.random.random_sample(len(self.axes)) < self.prob
        axes = [axis for axis, flips in zip(self.axes, drawn, strict=True) if flips]
        return self.replay(results, dict(type='RandomFlipVolume', axes=axes)) if axes else results

    @staticmethod
    def replay(results: dict[str, Any], record: dict[str, Any]) -> dict[str, Any]:
        """Mirror again what ``record`` of ``augmentations`` says."""
        rank = results['img'].ndim - 1
        for key in ('img', 'gt_seg_map'):
            if key in results:
                array = results[key]
                axes = tuple(array.ndim - rank + axis for axis in record['axes'])
                results[key] = np.ascontiguousarray(np.flip(array, axes))
        results.pop('class_locations', None)
        results['augmentations'] = [*results.get('augmentations', []), record]
        return results

    def __repr__(self) -> str:
        return f'{type(self).__name__}(axes={self.axes}, prob={self.prob})'
