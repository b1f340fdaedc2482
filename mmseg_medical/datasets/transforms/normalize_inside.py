from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from mmcv.transforms import BaseTransform

from mmseg_medical.errors import ConfigError
from mmseg_medical.registry import TRANSFORMS

REGIONS = ('brain', 'channel', 'body')
_BINS = 256


@TRANSFORMS.register_module()
class NormalizeInside(BaseTransform):
    """Z-score of each channel by mean and deviation inside the brain or the body.

    Regions:

    - ``'brain'``: voxels that are not 0 in any channel, for heads without skull;
    - ``'channel'``: voxels above 0 in one channel, which HDC-HRNet's release takes from T1;
    - ``'body'``: voxels above ``threshold``, or above that of Otsu (1979, doi:10.1109/TSMC.1979.4310076) of the first
      channel, for MR images where air is dark.

    An empty region, or one of one value, becomes 0.

    Required keys: ``img`` (C, *S); it is replaced.

    Added keys: ``normalization``, as of ``NormalizeIntensity``.

    Args:
        region (str): One of the above.
        outside (str): ``'zero'`` sets the rest to 0; ``'same'`` shifts and scales it too, so that a background of 0
            becomes -mean / deviation, as the release does.
        percentiles (Sequence[float] | None): Clip to these of the region before, in percent.
        channel (int): Of ``'channel'``.
        threshold (float | None): Of ``'body'``, in the values of the file, e.g. -500 for CT.
    """

    def __init__(
        self,
        region: str = 'brain',
        outside: str = 'zero',
        percentiles: Sequence[float] | None = None,
        channel: int = 0,
        threshold: float | None = None,
    ) -> None:
        super().__init__()
        if region not in REGIONS or outside not in ('zero', 'same'):
            raise ConfigError(
                f"region of NormalizeInside must be one of {REGIONS} and outside 'zero' or 'same', found {region!r} "
                f'and {outside!r}'
            )
        if percentiles is not None and not 0 <= percentiles[0] < percentiles[-1] <= 100:
            raise ConfigError(f'percentiles must be a lower and a higher number in 0..100, found {percentiles}')
        self.region = region
        self.outside = outside
        self.percentiles = None if percentiles is None else tuple(float(p) for p in percentiles)
        self.channel = channel
        self.threshold = threshold

    def transform(self, results: dict[str, Any]) -> dict[str, Any]:
        """Normalise.

        Raises:
            ConfigError: There is no such channel.
        """
        image = results['img']
        inside = self._inside(image)
        output = np.zeros_like(image)
        channels = []
        for values, out in zip(image, output, strict=True):
            chosen, bounds = values[inside], None
            if self.percentiles is not None and chosen.size:
                bounds = [float(b) for b in np.percentile(chosen, self.percentiles)]
                values, chosen = (np.clip(array, bounds[0], bounds[1]) for array in (values, chosen))
            shift = float(chosen.mean(dtype=np.float64)) if chosen.size else 0.0
            scale = float(chosen.std(dtype=np.float64)) if chosen.size else 0.0
            if scale > 0:
                np.divide(values - np.float32(shift), np.float32(scale), out=out)
            if self.outside == 'zero':
                out[~inside] = 0
            channels.append(dict(shift=shift, scale=scale, clip=bounds))
        results['img'] = output
        results['normalization'] = dict(mode='zscore', region=self.region, outside=self.outside, channels=channels)
        return results

    def _inside(self, image: np.ndarray) -> np.ndarray:
        if self.region == 'brain':
            return (image != 0).any(axis=0)
        if self.region == 'body':
            return image[0] > (otsu_threshold(image[0]) if self.threshold is None else self.threshold)
        if not 0 <= self.channel < len(image):
            raise ConfigError(f'channel {self.channel} of NormalizeInside: the image has {len(image)}, counted from 0')
        return image[self.channel] > 0

    def __repr__(self) -> str:
        return (
            f'{type(self).__name__}(region={self.region!r}, outside={self.outside!r}, percentiles={self.percentiles}, '
            f'channel={self.channel}, threshold={self.threshold})'
        )


def otsu_threshold(values: np.ndarray) -> float:
    """Threshold that separates dark from bright with the largest variance between the two, of 256 bins.

    Args:
        values (np.ndarray): Any shape, finite.

    Returns:
        float: Upper edge of the last dark bin; of one value, that value.
    """
    low, high = float(values.min()), float(values.max())
    if low == high:
        return low
    counts, edges = np.histogram(values, bins=_BINS, range=(low, high))
    centers = (edges[:-1] + edges[1:]) / 2
    dark = np.cumsum(counts)[:-1].astype(np.float64)
    bright = counts.sum() - dark
    weighted = np.cumsum(counts * centers)
    dark_mean, bright_mean = weighted[:-1] / np.maximum(dark, 1), (weighted[-1] - weighted[:-1]) / np.maximum(bright, 1)
    between = dark * bright * (dark_mean - bright_mean) ** 2
    best = np.flatnonzero(between == between.max())  # a gap without voxels leaves many equal ones: its middle
    return float(edges[1:-1][best].mean())
