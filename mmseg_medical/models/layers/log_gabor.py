"""Bank of log-Gabor filters (Field 1987, doi:10.1364/JOSAA.4.002379)."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from mmseg_medical.errors import ConfigError


class LogGaborBank(nn.Module):
    """Complex responses to waves of some scales and directions, free of the mean.

    Radially a filter is exp(-ln(f / f0)^2 / (2 ln(sigma)^2)), with 1 / f0 = ``wavelength * factor ** scale``; in angle
    a Gaussian of standard deviation ``pi / orientations / 1.2`` about its direction, on one side of the spectrum.

    Args:
        scales (int): S.
        orientations (int): O, at angles ``pi k / O``.
        wavelength (float): Of the finest scale, in pixels.
        factor (float): Between scales.
        sigma (float): Of the radial bandwidth, between 0 and 1; smaller is wider.

    Raises:
        ConfigError: There is no scale or orientation, or a length, factor or sigma is out of range.
    """

    def __init__(
        self,
        scales: int = 4,
        orientations: int = 6,
        wavelength: float = 3.0,
        factor: float = 2.1,
        sigma: float = 0.55,
    ) -> None:
        super().__init__()
        if min(scales, orientations) < 1 or min(wavelength, factor) <= 0 or not 0 < sigma < 1:
            raise ConfigError(
                'a log-Gabor bank needs scales, orientations, a wavelength and a factor above 0 and 0 < sigma < 1, got '
                f'{scales}, {orientations}, {wavelength}, {factor} and {sigma}'
            )
        self.wavelengths = tuple(wavelength * factor**scale for scale in range(scales))
        self.angles = tuple(math.pi * k / orientations for k in range(orientations))
        self.log_sigma = math.log(sigma)
        self.spread = math.pi / orientations / 1.2

    def filters(self, size: tuple[int, int], like: Tensor) -> Tensor:
        """Transfer functions on the FFT's grid of ``size`` (H, W): real, shape (S, O, H, W)."""
        fy = torch.fft.fftfreq(size[0], device=like.device, dtype=like.dtype)[:, None]
        fx = torch.fft.fftfreq(size[1], device=like.device, dtype=like.dtype)
        radius = torch.sqrt(fx.square() + fy.square())
        radius[0, 0] = 1.0  # the logarithm needs a value there; it is replaced below
        log = radius.log() + like.new_tensor(self.wavelengths).log()[:, None, None]
        radial = torch.exp(-log.square() / (2 * self.log_sigma**2))
        radial[:, 0, 0] = 0.0
        centre = like.new_tensor(self.angles)[:, None, None]
        angle = torch.atan2(fy.expand_as(radius), fx.expand_as(radius)) - centre
        distance = torch.atan2(angle.sin(), angle.cos()).abs()
        return radial[:, None] * torch.exp(-distance.square() / (2 * self.spread**2))

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, C, H, W), real, to complex responses (N, C, S, O, H, W): even part real, odd part imaginary."""
        values = x.to(torch.promote_types(x.dtype, torch.float32))
        size = (x.shape[2], x.shape[3])
        spectrum = torch.fft.fft2(values)[:, :, None, None]
        return torch.fft.ifft2(spectrum * self.filters(size, values))
