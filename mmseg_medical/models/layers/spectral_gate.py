"""Spectral gate of HACDR-Net's older variant (DDHA)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

BLOCKS = 8


class BlockDiagonalComplexMLP(nn.Module):
    """Two complex layers on a spectrum, channels split in blocks that do not mix, soft-shrunk at the end.

    Args:
        channels: C, divisible by 8.
        threshold: of the soft shrinkage.
    """

    def __init__(self, channels: int, threshold: float = 0.01) -> None:
        super().__init__()
        size = channels // BLOCKS
        self.threshold = threshold
        # axis 0: real and imaginary part
        self.weight1 = nn.Parameter(0.02 * torch.randn(2, BLOCKS, size, size))
        self.bias1 = nn.Parameter(0.02 * torch.randn(2, BLOCKS, size))
        self.weight2 = nn.Parameter(0.02 * torch.randn(2, BLOCKS, size, size))
        self.bias2 = nn.Parameter(0.02 * torch.randn(2, BLOCKS, size))

    def forward(self, spectrum: Tensor) -> Tensor:
        """Map a complex tensor of shape (N, C, H, W') to the same shape."""
        n, channels, *size = spectrum.shape
        x = spectrum.reshape(n, BLOCKS, channels // BLOCKS, *size)
        x = self._layer(x, self.weight1, self.bias1)
        x = torch.complex(x.real.relu(), x.imag.relu())
        x = self._layer(x, self.weight2, self.bias2)
        x = torch.complex(F.softshrink(x.real, self.threshold), F.softshrink(x.imag, self.threshold))
        return x.reshape(spectrum.shape)

    @staticmethod
    def _layer(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        weight, bias = torch.complex(weight[0], weight[1]), torch.complex(bias[0], bias[1])
        return torch.einsum('nbihw,bio->nbohw', x, weight) + bias[None, :, :, None, None]


class SpectralGate(nn.Module):
    """Combine two maps by the product of their transformed spectra, plus both.

    The transforms are orthonormal real FFTs over the spatial axes; spectra are kept in float32 because half
    precision FFTs exist for powers of two only.

    Args:
        channels: C, divisible by 8.

    Raises:
        ValueError: C is not divisible by 8.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        if channels % BLOCKS:
            raise ValueError(f'the spectral gate splits channels in {BLOCKS} blocks, {channels} cannot be split so')
        self.local_mlp = BlockDiagonalComplexMLP(channels)
        self.branch_mlp = BlockDiagonalComplexMLP(channels)

    def forward(self, local: Tensor, branches: Tensor) -> Tensor:
        """Both arguments and the result have shape (N, C, H, W)."""
        size, dtype = local.shape[2:], local.dtype
        compute = torch.promote_types(dtype, torch.float32)
        # autocast does not know the meta device, on which operations are counted
        autocast_device = 'cpu' if local.is_meta else local.device.type
        with torch.autocast(autocast_device, enabled=False):
            local_spectrum = self.local_mlp(torch.fft.rfft2(local.to(compute), norm='ortho'))
            branch_spectrum = self.branch_mlp(torch.fft.rfft2(branches.to(compute), norm='ortho'))
            gated = torch.fft.irfft2(local_spectrum * branch_spectrum, s=tuple(size), norm='ortho')
        return gated.to(dtype) + local + branches
