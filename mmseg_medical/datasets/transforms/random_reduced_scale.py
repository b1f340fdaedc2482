# ruff: noqa: NPY002 - the sampler seeds numpy's global generator for every sample
from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from mmcv.transforms import BaseTransform
from torch.nn.functional import interpolate

from mmseg_medical.datasets.transforms.simulate_scale import resize_labels
from mmseg_medical.errors import ConfigError
from mmseg_medical.registry import TRANSFORMS


@TRANSFORMS.register_module()
class RandomReducedScale(BaseTransform):
    """Reduce an image by a power of two and, one or the other, enlarge it again or put it into the middle of zeros.

    What RARE-UNet's authors train their baseline "UNet+Aug" with, so that it has seen the images of lower resolution
    that it is tested on. Theirs leaves the labels as they are, also of images that shrink in the middle of zeros,
    draws once for a whole batch, and acts in validation too.

    Required keys: ``img``; ``gt_seg_map`` where there are labels. They are replaced, with their size kept.

    Recorded, if it acts: ``level`` and ``padded``.

    Args:
        num_levels (int): The level is drawn from 1..num_levels, the reduction is 2^level.
        prob (float): Probability that it acts.
        pad_prob (float): Probability that it pads, once it acts.
        labels_follow (bool): Whether labels shrink with the image that is padded; False as released.
    """

    def __init__(
        self, num_levels: int = 3, prob: float = 0.5, pad_prob: float = 0.5, labels_follow: bool = True
    ) -> None:
        super().__init__()
        if num_levels < 1 or not 0 <= prob <= 1 or not 0 <= pad_prob <= 1:
            raise ConfigError(
                'num_levels of RandomReducedScale must be positive, prob and pad_prob lie in [0, 1], found '
                f'{num_levels}, {prob}, {pad_prob}'
            )
        self.num_levels = num_levels
        self.prob = prob
        self.pad_prob = pad_prob
        self.labels_follow = labels_follow

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Draw, reduce, record."""
        acts, level = np.random.random_sample() < self.prob, int(np.random.randint(1, self.num_levels + 1))
        padded = bool(np.random.random_sample() < self.pad_prob)
        if not acts:
            return results
        record = dict(type='RandomReducedScale', level=level, padded=padded, labels_follow=self.labels_follow)
        return self.replay(results, record)

    @staticmethod
    def replay(results: dict[str, Any], record: Mapping[str, Any]) -> dict[str, Any]:
        """Do again what ``record`` of ``augmentations`` says."""
        image = results['img']
        size = image.shape[1:]
        coarse = tuple(max(1, n // 2 ** record['level']) for n in size)
        reduced = _linear(image, coarse)
        if record['padded']:
            results['img'] = _in_the_middle(reduced, size)
            if record['labels_follow'] and 'gt_seg_map' in results:
                results['gt_seg_map'] = _in_the_middle(resize_labels(results['gt_seg_map'], coarse), size)
                results.pop('class_locations', None)
        else:
            results['img'] = _linear(reduced, size)
        results['augmentations'] = [*results.get('augmentations', []), dict(record)]
        return results

    def __repr__(self) -> str:
        return (
            f'{type(self).__name__}(num_levels={self.num_levels}, prob={self.prob}, pad_prob={self.pad_prob}, '
            f'labels_follow={self.labels_follow})'
        )


def _linear(image: np.ndarray, size: Sequence[int]) -> np.ndarray:
    mode = {1: 'linear', 2: 'bilinear', 3: 'trilinear'}[image.ndim - 1]
    tensor = torch.from_numpy(np.ascontiguousarray(image))[None]
    return interpolate(tensor, size=tuple(size), mode=mode, align_corners=False)[0].numpy()


def _in_the_middle(array: np.ndarray, size: Sequence[int]) -> np.ndarray:
    lead = array.ndim - len(size)
    missing = [n - have for n, have in zip(size, array.shape[lead:], strict=True)]
    return np.pad(array, [(0, 0)] * lead + [(m // 2, m - m // 2) for m in missing])
