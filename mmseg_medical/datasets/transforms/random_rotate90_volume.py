# ruff: noqa: NPY002 - the sampler seeds numpy's global generator for every sample
from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from mmcv.transforms import BaseTransform

from mmseg_medical.datasets.transforms.volume_checks import check_label_follows
from mmseg_medical.errors import ConfigError
from mmseg_medical.registry import TRANSFORMS


@TRANSFORMS.register_module()
class RandomRotate90Volume(BaseTransform):
    """Turn image and labels in a plane by 90, 180 or 270 degrees, without interpolation.

    The affine stays, as with ``RandomFlipVolume``: what is turned is the patient, not the grid.

    Required keys: ``img``, and ``gt_seg_map`` where there are labels; both are changed.

    Recorded, if anything is turned: ``axes``, ``turns``.

    Args:
        axes (Sequence[int]): The two spatial axes of the plane, counted from 0; of equal lengths and, for the anatomy
            to stay what it is, equal spacings.
        prob (float): Probability; the three angles are equally likely.
    """

    def __init__(self, axes: Sequence[int] = (0, 1), prob: float = 0.75) -> None:
        super().__init__()
        if len(axes) != 2 or axes[0] == axes[1] or not set(axes) <= {0, 1, 2} or not 0 <= prob <= 1:
            raise ConfigError(
                f'axes of RandomRotate90Volume must be two of 0, 1, 2 and prob lie in [0, 1], found {axes} and {prob}'
            )
        self.axes = tuple(int(axis) for axis in axes)
        self.prob = prob

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Draw, turn, record.

        Raises:
            RuntimeError: The labels lie on another grid than the image.
            ConfigError: The image does not have these axes, or they differ in length.
        """
        size = results['img'].shape[1:]
        lengths = {size[axis] if axis < len(size) else None for axis in self.axes}
        if len(lengths) > 1 or None in lengths:
            raise ConfigError(
                f'RandomRotate90Volume turns axes {self.axes} of equal lengths, the image has size {size}: choose a '
                'square patch, or other axes'
            )
        check_label_follows(results, type(self).__name__)
        acts, turns = np.random.random_sample() < self.prob, int(np.random.randint(1, 4))
        if not acts:
            return results
        return self.replay(results, dict(type='RandomRotate90Volume', axes=list(self.axes), turns=turns))

    @staticmethod
    def replay(results: dict[str, Any], record: Mapping[str, Any]) -> dict[str, Any]:
        """Turn again as ``record`` of ``augmentations`` says."""
        rank = results['img'].ndim - 1
        for key in ('img', 'gt_seg_map'):
            if key in results:
                first, second = (results[key].ndim - rank + axis for axis in record['axes'])
                results[key] = np.ascontiguousarray(np.rot90(results[key], record['turns'], (first, second)))
        results.pop('class_locations', None)
        results['augmentations'] = [*results.get('augmentations', []), dict(record)]
        return results

    def __repr__(self) -> str:
        return f'{type(self).__name__}(axes={self.axes}, prob={self.prob})'
