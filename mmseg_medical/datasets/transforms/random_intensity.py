# ruff: noqa: NPY002 - the sampler seeds numpy's global generator for every sample
from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from mmcv.transforms import BaseTransform

from mmseg_medical.errors import ConfigError
from mmseg_medical.registry import TRANSFORMS


@TRANSFORMS.register_module()
class RandomIntensity(BaseTransform):
    """Vary contrast and brightness, add noise, blur; each with its own probability.

    All amounts are relative to the standard deviation of the sample, channel by channel, so that images stay on the
    scale of their normalisation: scaling each augmented slice to [0, 1] would train on other values than are tested.
    With ``absolute`` they are in the unit of the image, which a window of CT fixes: values are multiplied, then
    shifted.

    Required keys: ``img``; it is replaced.

    Recorded, if it acts: ``contrast``, ``brightness``, ``noise``, ``noise_seed``, ``blur``; ``absolute`` if it is.

    Args:
        contrast (float): Deviations from the mean (``absolute``: values) are multiplied by a number from
            [1 - contrast, 1 + contrast].
        brightness (float): What is added is drawn from [-brightness, brightness].
        prob (float): Probability of the two.
        noise (Sequence[float]): Range of the deviation of Gaussian noise.
        noise_prob (float): Its probability.
        blur (Sequence[float]): Range of the Gaussian's sigma, in pixels.
        blur_prob (float): Its probability.
        absolute (bool): See above.
    """

    def __init__(
        self,
        contrast: float = 0.2,
        brightness: float = 0.2,
        prob: float = 0.5,
        noise: Sequence[float] = (0.02, 0.1),
        noise_prob: float = 0.3,
        blur: Sequence[float] = (0.5, 1.0),
        blur_prob: float = 0.2,
        absolute: bool = False,
    ) -> None:
        super().__init__()
        if not all(0 <= p <= 1 for p in (prob, noise_prob, blur_prob)) or not 0 <= contrast < 1 or brightness < 0:
            raise ConfigError(
                'probabilities and contrast of RandomIntensity must lie in [0, 1] and brightness must not be negative, '
                f'found prob={prob}, noise_prob={noise_prob}, blur_prob={blur_prob}, contrast={contrast}, '
                f'brightness={brightness}'
            )
        for name, values in (('noise', noise), ('blur', blur)):
            if len(values) != 2 or not 0 <= values[0] <= values[1]:
                raise ConfigError(f'{name} of RandomIntensity must be a range of numbers from 0 on, found {values}')
        self.contrast, self.brightness, self.prob = contrast, brightness, prob
        self.noise, self.noise_prob = tuple(noise), noise_prob
        self.blur, self.blur_prob = tuple(blur), blur_prob
        self.absolute = absolute

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Draw, apply, record."""
        varies, noisy, blurs = np.random.random_sample(3) < (self.prob, self.noise_prob, self.blur_prob)
        contrast = np.random.uniform(1 - self.contrast, 1 + self.contrast)
        brightness = np.random.uniform(-self.brightness, self.brightness)
        noise, blur = np.random.uniform(self.noise[0], self.noise[1]), np.random.uniform(self.blur[0], self.blur[1])
        seed = int(np.random.randint(2**31))
        if not (varies or noisy or blurs):
            return results
        record = dict(
            type='RandomIntensity',
            contrast=float(contrast) if varies else 1.0,
            brightness=float(brightness) if varies else 0.0,
            noise=float(noise) if noisy else 0.0,
            noise_seed=seed,
            blur=float(blur) if blurs else 0.0,
        )
        if self.absolute:
            record['absolute'] = True
        return self.replay(results, record)

    @staticmethod
    def replay(results: dict[str, Any], record: Mapping[str, Any]) -> dict[str, Any]:
        """Do again what ``record`` of ``augmentations`` says."""
        from scipy import ndimage

        image = results['img']
        axes = tuple(range(1, image.ndim))
        absolute = record.get('absolute', False)
        mean = 0.0 if absolute else image.mean(axis=axes, keepdims=True)
        deviation = 1.0 if absolute else image.std(axis=axes, keepdims=True)
        output = mean + (image - mean) * record['contrast'] + record['brightness'] * deviation
        if record['blur'] > 0:
            output = ndimage.gaussian_filter(output, (0, *[record['blur']] * len(axes)), mode='nearest')
        if record['noise'] > 0:
            drawn = np.random.default_rng(record['noise_seed']).standard_normal(image.shape)
            output = output + record['noise'] * deviation * drawn
        results['img'] = output.astype(image.dtype)
        results['augmentations'] = [*results.get('augmentations', []), dict(record)]
        return results

    def __repr__(self) -> str:
        return (
            f'{type(self).__name__}(contrast={self.contrast}, brightness={self.brightness}, prob={self.prob}, '
            f'noise={self.noise}, noise_prob={self.noise_prob}, blur={self.blur}, blur_prob={self.blur_prob}, '
            f'absolute={self.absolute})'
        )
