"""Filters that are not learned."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from mmseg_medical.errors import ConfigError


def gaussian_kernel(size: int, sigma: float) -> Tensor:
    """Gaussian of unit sum.

    Args:
        size (int): Length of both axes, odd.
        sigma (float): Standard deviation in pixels.

    Returns:
        Tensor: Shape (size, size), float64.

    Example:
        >>> kernel = gaussian_kernel(7, 1.0)
        >>> round(kernel.sum().item(), 9), kernel.argmax().item()
        (1.0, 24)
    """
    offsets = torch.arange(size, dtype=torch.float64) - size // 2
    line = torch.exp(-0.5 * (offsets / sigma).square())
    kernel = line[:, None] * line
    return kernel / kernel.sum()


def checked_padding(padding: str) -> str:
    """Return the name of a padding that :func:`filter_channels` knows.

    Raises:
        ConfigError: It does not know it.
    """
    if padding not in ('replicate', 'zeros'):
        raise ConfigError(f"padding must be 'replicate' or 'zeros', got {padding!r}")
    return padding


def filter_channels(x: Tensor, kernels: Tensor, padding: str) -> Tensor:
    """Correlate every channel with every kernel; the size is kept.

    Args:
        x (Tensor): Shape (N, C, H, W).
        kernels (Tensor): Shape (M, k, k), k odd.
        padding (str): ``'replicate'`` or ``'zeros'``.

    Returns:
        Tensor: Shape (N, C M, H, W), the kernels of the first channel first.
    """
    channels, half = x.shape[1], kernels.shape[-1] // 2
    mode = 'constant' if padding == 'zeros' else 'replicate'
    weight = kernels.to(x.dtype)[:, None].repeat(channels, 1, 1, 1)
    return F.conv2d(F.pad(x, (half,) * 4, mode=mode), weight, groups=channels)
