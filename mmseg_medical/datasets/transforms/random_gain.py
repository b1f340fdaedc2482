# ruff: noqa: NPY002 - the sampler seeds numpy's global generator for every sample
from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from mmcv.transforms import BaseTransform

from mmseg_medical.errors import ConfigError
from mmseg_medical.registry import TRANSFORMS


@TRANSFORMS.register_module()
class RandomGain(BaseTransform):
    """Multiply an image by one random number, and clip it to its range.

    Required keys: ``img``; it is replaced.

    Recorded, if it acts: ``gain``, ``clip``.

    Args:
        gains (Sequence[float]): Range of the number.
        prob (float): Probability.
        clip (Sequence[float] | None): Lowest and highest value after it, e.g. those of the normalisation; None for
            no clipping.
    """

    def __init__(
        self, gains: Sequence[float] = (0.9, 1.1), prob: float = 0.5, clip: Sequence[float] | None = None
    ) -> None:
        super().__init__()
        if len(gains) != 2 or not 0 < gains[0] <= gains[1] or not 0 <= prob <= 1:
            raise ConfigError(
                'gains of RandomGain must be a range of positive numbers and prob lie in [0, 1], found '
                f'{gains} and {prob}'
            )
        if clip is not None and (len(clip) != 2 or not clip[0] < clip[1]):
            raise ConfigError(f'clip of RandomGain must be a lowest and a highest value, found {clip}')
        self.gains, self.prob = tuple(gains), prob
        self.clip = None if clip is None else tuple(clip)

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Draw, multiply, record."""
        acts, gain = np.random.random_sample() < self.prob, np.random.uniform(self.gains[0], self.gains[1])
        if not acts:
            return results
        return self.replay(results, dict(type='RandomGain', gain=float(gain), clip=self.clip))

    @staticmethod
    def replay(results: dict[str, Any], record: Mapping[str, Any]) -> dict[str, Any]:
        """Multiply again by what ``record`` of ``augmentations`` says."""
        image = results['img'] * np.asarray(record['gain'], results['img'].dtype)
        results['img'] = image if record['clip'] is None else np.clip(image, *record['clip'])
        results['augmentations'] = [*results.get('augmentations', []), dict(record)]
        return results

    def __repr__(self) -> str:
        return f'{type(self).__name__}(gains={self.gains}, prob={self.prob}, clip={self.clip})'
