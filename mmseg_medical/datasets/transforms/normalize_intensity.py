from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from mmcv.transforms import BaseTransform

from mmseg_medical.errors import ConfigError
from mmseg_medical.registry import TRANSFORMS

MODES = ('zscore', 'percentile', 'window')
REGIONS = ('all', 'nonzero')


@TRANSFORMS.register_module()
class NormalizeIntensity(BaseTransform):
    """Bring intensities to a common scale, channel by channel.

    - ``'zscore'``: subtract the mean and divide by the standard deviation, of the image or (``mean``, ``std``) of the
      data set. With ``percentiles`` or ``clip`` values are clipped before.
    - ``'percentile'``: clip to the percentiles and map them to ``out_range``.
    - ``'window'``: clip to ``center - width / 2`` .. ``center + width / 2`` (Hounsfield units for CT) and map these to
      ``out_range``.

    An image of one value becomes 0, or the lower end of ``out_range``. Put it before padding: zeros that are no image
    belong in no statistics.

    Required keys: ``img`` (C, *S); it is replaced.

    Added keys: ``normalization``: dict with ``mode`` and for each channel what was subtracted (``shift``), what it was
    divided by (``scale``) and where it was clipped (``clip``), so that ``img = (clipped - shift) / scale`` (plus the
    lower end of ``out_range``).

    Args:
        mode (str): One of the above.
        region (str): Voxels the statistics are of: ``'all'``, or ``'nonzero'`` for images whose surroundings have been
            set to 0; these then stay 0.
        percentiles (Sequence[float] | None): Lower and upper, in percent. None stands for (0.5, 99.5) with
            ``'percentile'`` and for no clipping otherwise.
        clip (Sequence[float] | None): Lower and upper value, applied before anything else.
        mean (Sequence[float] | None): Of each channel, instead of the image's own.
        std (Sequence[float] | None): The same.
        center (float | Sequence[float] | None): Of the window, one number or one a channel.
        width (float | Sequence[float] | None): Of the window.
        out_range (Sequence[float]): Of ``'percentile'`` and ``'window'``.
        pooled (bool): Take the statistics of all channels together, as RARE-UNet's release does with percentiles.
    """

    def __init__(
        self,
        mode: str = 'zscore',
        region: str = 'all',
        *,
        percentiles: Sequence[float] | None = None,
        clip: Sequence[float] | None = None,
        mean: Sequence[float] | None = None,
        std: Sequence[float] | None = None,
        center: float | Sequence[float] | None = None,
        width: float | Sequence[float] | None = None,
        out_range: Sequence[float] = (0.0, 1.0),
        pooled: bool = False,
    ) -> None:
        super().__init__()
        if mode not in MODES or region not in REGIONS:
            raise ConfigError(f'mode must be one of {MODES} and region one of {REGIONS}, found {mode!r} and {region!r}')
        self.mode = mode
        self.region = region
        self.percentiles = _pair('percentiles', percentiles or ((0.5, 99.5) if mode == 'percentile' else None))
        self.clip = _pair('clip', clip)
        self.out_range = _pair('out_range', out_range) or (0.0, 1.0)
        self.mean, self.std = _numbers(mean), _numbers(std)
        self.center, self.width = _numbers(center), _numbers(width)
        self.pooled = pooled
        if (self.mean is None) != (self.std is None) or (self.mean is not None and mode != 'zscore'):
            raise ConfigError("mean and std belong together, and to mode='zscore'")
        if (mode == 'window') != (self.center is not None and self.width is not None):
            raise ConfigError("center and width belong together, and to mode='window', which needs them")
        for name, values in (('std', self.std), ('width', self.width)):
            if values is not None and min(values) <= 0:
                raise ConfigError(f'{name} must be positive, found {values}')

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Normalise.

        Raises:
            ConfigError: ``mean`` or ``center`` are given for another number of channels.
        """
        image = results['img']
        output = np.empty_like(image)
        groups = [slice(None)] if self.pooled else [slice(c, c + 1) for c in range(len(image))]
        channels = []
        for number, group in enumerate(groups):
            values, mask = image[group], None
            if self.clip is not None:
                values = np.clip(values, *self.clip)
            if self.region == 'nonzero':
                mask = image[group] != 0
            channels.append(self._normalize(values, mask, number, len(groups), output[group]))
        results['img'] = output
        results['normalization'] = dict(mode=self.mode, region=self.region, pooled=self.pooled, channels=channels)
        return results

    def _normalize(
        self, values: np.ndarray, mask: np.ndarray | None, number: int, channels: int, output: np.ndarray
    ) -> dict[str, Any]:
        inside = values if mask is None else values[mask]
        bounds = self._bounds(inside, number, channels)
        if bounds is not None:
            values = np.clip(values, *bounds)
            inside = values if mask is None else values[mask]
        start = 0.0
        if self.mode == 'zscore':
            shift, scale = self._moments(inside, number, channels)
        else:
            assert bounds is not None  # noqa: S101  for the type checker
            low, high = bounds
            shift, start = low, self.out_range[0]
            scale = (high - low) / (self.out_range[1] - start)
        np.subtract(values, np.float32(shift), out=output)
        output *= np.float32(1 / scale if scale > 0 else 0)
        if start:
            output += np.float32(start)
        if mask is not None:
            output[~mask] = 0
        return dict(shift=shift, scale=scale, clip=None if bounds is None else list(bounds))

    def _bounds(self, inside: np.ndarray, number: int, channels: int) -> tuple[float, float] | None:
        if self.mode == 'window':
            center, width = self._of('center', number, channels), self._of('width', number, channels)
            return center - width / 2, center + width / 2
        if self.percentiles is None:
            return None
        if not inside.size:
            return 0.0, 0.0
        low, high = np.percentile(inside, self.percentiles)
        return float(low), float(high)

    def _moments(self, inside: np.ndarray, number: int, channels: int) -> tuple[float, float]:
        if self.mean is not None:
            return self._of('mean', number, channels), self._of('std', number, channels)
        if not inside.size:
            return 0.0, 0.0
        mean = float(inside.mean(dtype=np.float64))
        return mean, float(np.sqrt(np.square(inside - np.float32(mean)).mean(dtype=np.float64)))

    def _of(self, name: str, number: int, channels: int) -> float:
        values = getattr(self, name)
        if len(values) not in (1, channels):
            raise ConfigError(f'{name} of NormalizeIntensity has {len(values)} numbers, the image {channels} channels')
        return values[number if len(values) > 1 else 0]

    def __repr__(self) -> str:
        return f'{type(self).__name__}(mode={self.mode!r}, region={self.region!r}, percentiles={self.percentiles})'


def _pair(name: str, values: Sequence[float] | None) -> tuple[float, float] | None:
    if values is None:
        return None
    if len(values) != 2 or not values[0] < values[1]:
        raise ConfigError(f'{name} must be a lower and a higher number, found {values}')
    return float(values[0]), float(values[1])


def _numbers(values: float | Sequence[float] | None) -> tuple[float, ...] | None:
    if values is None:
        return None
    return tuple(float(v) for v in ([values] if isinstance(values, int | float) else values))
