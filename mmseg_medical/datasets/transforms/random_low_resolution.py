# ruff: noqa: NPY002 - the sampler seeds numpy's global generator for every sample
from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from mmcv.transforms import BaseTransform
from torch.nn.functional import interpolate

from mmseg_medical.errors import ConfigError
from mmseg_medical.registry import TRANSFORMS


@TRANSFORMS.register_module()
class RandomLowResolution(BaseTransform):
    """Simulate an image of thicker slices, or of lower resolution: down by nearest neighbour, up again linearly.

    Several times quicker than TorchIO's ``RandomAnisotropy``. Labels stay: the truth does not get coarser with the
    image.

    Required keys: ``img``; it is replaced.

    Recorded, if it acts: ``size``, the coarse one.

    Args:
        downsampling (Sequence[float]): Range of the factor, at least 1.
        axes (Sequence[int]): Spatial axes; with ``isotropic`` all of them, else one that is drawn.
        isotropic (bool): Whether all ``axes`` get the factor.
        prob (float): Probability that it acts.
    """

    def __init__(
        self,
        downsampling: Sequence[float] = (1.5, 4.0),
        axes: Sequence[int] = (0, 1, 2),
        isotropic: bool = False,
        prob: float = 0.25,
    ) -> None:
        super().__init__()
        if len(downsampling) != 2 or not 1 <= downsampling[0] <= downsampling[1] or not 0 <= prob <= 1:
            raise ConfigError(
                'downsampling of RandomLowResolution must be a range of numbers from 1 on and prob in [0, 1], found '
                f'{downsampling} and {prob}'
            )
        if not axes or not set(axes) <= {0, 1, 2}:
            raise ConfigError(f'axes of RandomLowResolution must be among 0, 1, 2, found {axes}')
        self.downsampling = (float(downsampling[0]), float(downsampling[1]))
        self.axes = tuple(int(axis) for axis in axes)
        self.isotropic = isotropic
        self.prob = prob

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Draw, blur, record."""
        size = results['img'].shape[1:]
        axes = [axis for axis in self.axes if axis < len(size)]
        acts, factor = np.random.random_sample() < self.prob, float(np.random.uniform(*self.downsampling))
        axis = axes[np.random.randint(len(axes))]
        if not acts:
            return results
        chosen = axes if self.isotropic else [axis]
        coarse = [max(1, round(n / factor)) if a in chosen else n for a, n in enumerate(size)]
        return self.replay(results, dict(type='RandomLowResolution', size=coarse))

    @staticmethod
    def replay(results: dict[str, Any], record: Mapping[str, Any]) -> dict[str, Any]:
        """Do again what ``record`` of ``augmentations`` says."""
        image = torch.from_numpy(np.ascontiguousarray(results['img']))[None]
        linear = {1: 'linear', 2: 'bilinear', 3: 'trilinear'}[image.ndim - 2]
        coarse = interpolate(image, size=tuple(record['size']), mode='nearest-exact')
        results['img'] = interpolate(coarse, size=image.shape[2:], mode=linear, align_corners=False)[0].numpy()
        results['augmentations'] = [*results.get('augmentations', []), dict(record)]
        return results

    def __repr__(self) -> str:
        return (
            f'{type(self).__name__}(downsampling={self.downsampling}, axes={self.axes}, isotropic={self.isotropic}, '
            f'prob={self.prob})'
        )
