"""Learned mask on the spectrum of a map (after Rao et al. 2021, GFNet, arXiv:2107.00645)."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from mmseg_medical.errors import ConfigError


class SpectralMask(nn.Module):
    """Multiply the spectrum of every channel by a learned complex mask, whose small entries are dropped.

    An entry whose magnitude is at most ``threshold`` counts as 0 and gets no gradient. The random initialisation of
    the release lies below the usual threshold nearly everywhere on large maps (98 of 100 entries on 56x56): such a
    mask starts almost closed and mostly stays so. ``init='identity'`` starts with the whole spectrum.

    Args:
        channels (int): C.
        size (tuple[int, int]): H and W of the maps; the mask fits no other.
        threshold (float): On the magnitude.
        init (str): ``'identity'``, or ``'released'``: normal, standard deviation sqrt(2 / (H (W / 2 + 1))).

    Raises:
        ConfigError: ``init`` is unknown, or channels or size are less than 1.
    """

    def __init__(self, channels: int, size: tuple[int, int], threshold: float = 0.1, init: str = 'identity') -> None:
        super().__init__()
        if channels < 1 or len(size) != 2 or min(size) < 1:
            raise ConfigError(f'the spectral mask needs channels and a size (H, W), got {channels} and {size}')
        if init not in ('identity', 'released'):
            raise ConfigError(f"init must be 'identity' or 'released', got {init!r}")
        self.size = tuple(size)
        self.threshold = threshold
        height, half = size[0], size[1] // 2 + 1
        weight = torch.zeros(channels, height, half, 2)
        if init == 'identity':
            weight[..., 0] = 1.0
        else:
            weight.normal_(std=math.sqrt(2 / (height * half)))
        #: last axis: real and imaginary part
        self.weight = nn.Parameter(weight)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, C, H, W) to the same shape.

        Raises:
            ConfigError: The map has another size or number of channels than the mask.
        """
        if x.shape[1] != len(self.weight) or tuple(x.shape[2:]) != self.size:
            raise ConfigError(
                f'the spectral mask was built for {len(self.weight)} channels of size {self.size}, got a map of shape '
                f'{tuple(x.shape)}; set its channels and size, and crop or resize images to one size'
            )
        dtype = torch.promote_types(x.dtype, torch.float32)
        mask = torch.view_as_complex(self.weight.to(dtype).contiguous())
        mask = torch.where(mask.detach().abs() > self.threshold, mask, 0.0)
        spectrum = torch.fft.rfft2(x.to(dtype), norm='ortho') * mask
        return torch.fft.irfft2(spectrum, s=self.size, norm='ortho').to(x.dtype)
