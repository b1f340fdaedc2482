"""Differences of Gaussians, the receptive fields of the retina (Marr and Hildreth 1980, doi:10.1098/rspb.1980.0020)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from mmseg_medical.errors import ConfigError
from mmseg_medical.models.layers.fixed_filters import checked_padding, filter_channels, gaussian_kernel

#: standard deviations of centre and surround, in pixels
SCALES = ((1.0, 2.0), (2.0, 4.0), (4.0, 8.0))


class DifferenceOfGaussians(nn.Module):
    """Band-pass maps of every channel: a narrow Gaussian minus a wide one.

    Args:
        scales (Sequence[tuple[float, float]]): Standard deviations of centre and surround in pixels, one pair a map.
        size (int): Of the kernels, odd.
        padding (str): ``'replicate'``, which answers a constant image by 0, or ``'zeros'``.

    Raises:
        ConfigError: There is no scale, a deviation is not positive, the size is even or the padding unknown.
    """

    kernels: Tensor

    def __init__(
        self, scales: Sequence[tuple[float, float]] = SCALES, size: int = 15, padding: str = 'replicate'
    ) -> None:
        super().__init__()
        if not scales or any(len(pair) != 2 or min(pair) <= 0 for pair in scales):
            raise ConfigError(f'scales must be pairs of positive standard deviations, got {scales}')
        if size < 1 or size % 2 == 0:
            raise ConfigError(f'size must be odd, so that the kernels have a centre, got {size}')
        self.padding = checked_padding(padding)
        kernels = [gaussian_kernel(size, centre) - gaussian_kernel(size, around) for centre, around in scales]
        self.register_buffer('kernels', torch.stack(kernels).float(), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, C, H, W) to (N, C S, H, W), the S scales of the first channel first."""
        return filter_channels(x, self.kernels, self.padding)


class RetinalLayer(nn.Module):
    """Input and its differences of Gaussians, mixed by a 1x1 convolution, BatchNorm and ReLU.

    Args:
        channels (int): C.
        out_channels (int | None): None for C (1 + S) with S scales.
        scales (Sequence[tuple[float, float]]): See :class:`DifferenceOfGaussians`.
        padding (str): See :class:`DifferenceOfGaussians`.

    Raises:
        ConfigError: See :class:`DifferenceOfGaussians`.
    """

    def __init__(
        self,
        channels: int,
        out_channels: int | None = None,
        scales: Sequence[tuple[float, float]] = SCALES,
        padding: str = 'replicate',
    ) -> None:
        super().__init__()
        self.dog = DifferenceOfGaussians(scales, padding=padding)
        joined = channels * (1 + len(scales))
        self.out_channels = joined if out_channels is None else out_channels
        self.mix = nn.Sequential(
            nn.Conv2d(joined, self.out_channels, 1, bias=False),
            nn.BatchNorm2d(self.out_channels),
            nn.ReLU(inplace=True),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, C, H, W) to (N, out_channels, H, W)."""
        return self.mix(torch.cat((x, self.dog(x)), dim=1))
