# ruff: noqa: NPY002 - the sampler seeds numpy's global generator for every sample
from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import product
from typing import Any

import numpy as np
from mmcv.transforms import BaseTransform

from mmseg_medical.errors import ConfigError
from mmseg_medical.registry import TRANSFORMS


@TRANSFORMS.register_module()
class RandomBiasField(BaseTransform):
    """Multiply an MR image by a smooth field, as an uneven receiver coil does.

    The logarithm of the field is a polynomial of the place, which runs from -1 to 1 along each axis; its coefficients
    are uniform. The fields are those of TorchIO's ``RandomBiasField``; evaluated axis by axis they take a hundredth of
    the time.

    It belongs in front of ``NormalizeIntensity``: a field multiplies intensities, which have a zero.

    Required keys: ``img``; it is replaced.

    Recorded, if it acts: ``coefficients``, {exponents: number}.

    Args:
        magnitude (float): Coefficients are drawn from [-magnitude, magnitude].
        order (int): Of the polynomial.
        prob (float): Probability that it acts.
    """

    def __init__(self, magnitude: float = 0.5, order: int = 3, prob: float = 0.5) -> None:
        super().__init__()
        if order < 0 or magnitude < 0 or not 0 <= prob <= 1:
            raise ConfigError(
                f'order and magnitude of RandomBiasField must not be negative and prob in [0, 1], found {order}, '
                f'{magnitude} and {prob}'
            )
        self.magnitude = magnitude
        self.order = order
        self.prob = prob

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Draw, multiply, record."""
        rank = results['img'].ndim - 1
        terms = [powers for powers in product(range(self.order + 1), repeat=rank) if sum(powers) <= self.order]
        acts = np.random.random_sample() < self.prob
        drawn = np.random.uniform(-self.magnitude, self.magnitude, len(terms))
        if not acts:
            return results
        coefficients = [[list(powers), float(value)] for powers, value in zip(terms, drawn, strict=True)]
        return self.replay(results, dict(type='RandomBiasField', coefficients=coefficients))

    @staticmethod
    def replay(results: dict[str, Any], record: Mapping[str, Any]) -> dict[str, Any]:
        """Multiply again by what ``record`` of ``augmentations`` says."""
        image = results['img']
        results['img'] = image * np.exp(polynomial(image.shape[1:], record['coefficients']))
        results['augmentations'] = [*results.get('augmentations', []), dict(record)]
        return results

    def __repr__(self) -> str:
        return f'{type(self).__name__}(magnitude={self.magnitude}, order={self.order}, prob={self.prob})'


def polynomial(size: Sequence[int], coefficients: Sequence[Sequence[Any]]) -> np.ndarray:
    """Evaluate a polynomial at the voxels of a grid.

    Args:
        size (Sequence[int]): Of the grid; places run from -1 to 1 along each axis, an axis of one voxel is at 0.
        coefficients (Sequence): Pairs of the exponents along the axes and a number.

    Returns:
        np.ndarray: shape ``size``, float32.
    """
    order = max((max(powers) for powers, _ in coefficients), default=0)
    field = np.zeros((order + 1,) * len(size))
    for powers, value in coefficients:
        field[tuple(powers)] = value
    for length in size:  # contracts the first axis, the result comes back as the last
        places = np.linspace(-1, 1, length) if length > 1 else np.zeros(1)
        field = np.tensordot(field, np.vander(places, order + 1, increasing=True), axes=([0], [1]))
    return field.astype(np.float32)
