"""Monogenic signal: local amplitude without a preferred direction (Felsberg and Sommer 2001, doi:10.1109/78.969520)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from mmseg_medical.models.layers.fixed_filters import checked_padding, filter_channels, gaussian_kernel

EPS = 1e-8


def riesz_transform(x: Tensor) -> tuple[Tensor, Tensor]:
    """Both components of the Riesz transform, the two-dimensional Hilbert transform.

    The kernels are -i fx / sqrt(fx^2 + fy^2 + 1e-8) and the same with fy; the mean is lost.

    Args:
        x (Tensor): Shape (..., H, W), real; periodic beyond its borders.

    Returns:
        tuple[Tensor, Tensor]: Components along the columns (x) and the rows (y), each of the shape of ``x``.

    Example:
        >>> wave = 2 * torch.pi * torch.arange(8) / 8
        >>> rx, ry = riesz_transform(wave.cos().expand(5, 8))
        >>> torch.allclose(rx, wave.sin().expand(5, 8), atol=1e-6), ry.abs().max().item() < 1e-6
        (True, True)
    """
    height, width = x.shape[-2:]
    # FFTs of half precision exist for some sizes on some devices only
    values = x.to(torch.promote_types(x.dtype, torch.float32))
    fy = torch.fft.fftfreq(height, device=x.device, dtype=values.dtype)[:, None]
    fx = torch.fft.rfftfreq(width, device=x.device, dtype=values.dtype)
    radius = torch.sqrt(fx.square() + fy.square() + EPS)
    spectrum = torch.fft.rfft2(values)
    components = []
    for frequency in (fx, fy):
        # the highest frequency of an even axis is its own negative, on which an odd kernel must be 0
        odd = torch.where(frequency.abs() < 0.5, frequency, 0.0)
        components.append(torch.fft.irfft2(spectrum * (-1j * odd / radius), s=(height, width)).to(x.dtype))
    return components[0], components[1]


class MonogenicSignal(nn.Module):
    """Amplitude and Riesz components of every channel."""

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Map (N, C, H, W) to amplitude, x and y component, each (N, C, H, W); the amplitude is at least 1e-4."""
        rx, ry = riesz_transform(x)
        values, rx, ry = (t.to(torch.promote_types(x.dtype, torch.float32)) for t in (x, rx, ry))
        amplitude = torch.sqrt(values.square() + rx.square() + ry.square() + EPS)
        return amplitude.to(x.dtype), rx.to(x.dtype), ry.to(x.dtype)


class MonogenicEnergy(nn.Module):
    """Smoothed monogenic amplitude of the mean over channels, scaled to 0..1 in every image.

    Args:
        padding (str): Of the 7x7 Gaussian, ``'replicate'`` or ``'zeros'``.

    Raises:
        ConfigError: The padding is unknown.
    """

    kernel: Tensor

    def __init__(self, padding: str = 'replicate') -> None:
        super().__init__()
        self.padding = checked_padding(padding)
        self.signal = MonogenicSignal()
        self.register_buffer('kernel', gaussian_kernel(7, 1.0).float()[None], persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, C, H, W) to (N, 1, H, W); an image of constant energy gives 0."""
        amplitude, _, _ = self.signal(x.mean(dim=1, keepdim=True))
        smooth = filter_channels(amplitude, self.kernel, self.padding)
        low, high = smooth.amin(dim=(2, 3), keepdim=True), smooth.amax(dim=(2, 3), keepdim=True)
        return (smooth - low) / (high - low).clamp_min(EPS)
