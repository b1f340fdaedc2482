"""Residual block of a modulated deformable convolution."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mmseg_medical.errors import ConfigError
from mmseg_medical.models.layers.deform_conv import ModulatedDeformConv2d
from mmseg_medical.models.layers.feature_blocks.norm import group_norm

#: before the sigmoid, so that every tap starts with 0.1192029
INITIAL_MODULATION = -2.0


class DeformableBlock(nn.Module):
    """Deformable convolution (DCNv2) with bounded offsets, norm, GELU, add.

    With kernel size k, offsets are ``k * tanh(.)`` pixels, whatever the dilation, and masks ``sigmoid(.)``, each of a
    plain convolution with the same kernel and dilation. Both start at zero weights: offset 0, mask 0.1192029.

    Args:
        channels (int): C; 8 must divide it unless it is smaller.
        dilation (int): Distance of neighbouring taps.
        out_channels (int | None): Of the result, None for C. Where they differ from C, the shortcut is a 1x1
            convolution with norm.
        kernel_size (int): k, odd.
        scale_offsets (bool): Multiply the bound of the offsets by the dilation. The release does not, so that the
            outer taps of a wide kernel never reach the middle of a small map.
        backend (str): Of :func:`mmseg_medical.ops.modulated_deform_conv2d`.

    Raises:
        ConfigError: The kernel is not odd, the dilation not positive, or channels cannot be divided into the groups of
            the norm.
    """

    def __init__(
        self,
        channels: int,
        dilation: int = 1,
        *,
        out_channels: int | None = None,
        kernel_size: int = 3,
        scale_offsets: bool = False,
        backend: str = 'auto',
    ) -> None:
        super().__init__()
        if kernel_size < 1 or kernel_size % 2 == 0:
            raise ConfigError(f'the kernel of a dcn block must be odd to keep the size, got kernel_size={kernel_size}')
        if dilation < 1:
            raise ConfigError(f'the dilation of a dcn block must be positive, got dilation={dilation}')
        out_channels = channels if out_channels is None else out_channels
        taps, padding = kernel_size**2, dilation * (kernel_size - 1) // 2
        self.offset_bound = kernel_size * (dilation if scale_offsets else 1)
        self.offset = nn.Conv2d(channels, 2 * taps, kernel_size, padding=padding, dilation=dilation)
        self.modulation = nn.Conv2d(channels, taps, kernel_size, padding=padding, dilation=dilation)
        self.conv = ModulatedDeformConv2d(
            channels, out_channels, kernel_size, padding=padding, dilation=dilation, backend=backend
        )
        self.norm = group_norm(out_channels)
        self.act = nn.GELU()
        self.shortcut: nn.Module = nn.Identity()
        if out_channels != channels:
            self.shortcut = nn.Sequential(nn.Conv2d(channels, out_channels, 1, bias=False), group_norm(out_channels))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Set the branches to their start; draw the convolution as torch draws its own, bias included."""
        for branch, bias in ((self.offset, 0.0), (self.modulation, INITIAL_MODULATION)):
            nn.init.zeros_(branch.weight)
            nn.init.constant_(branch.bias, bias)  # type: ignore[arg-type]
        self.conv.reset_parameters()
        bound = 1 / math.sqrt(self.conv.weight[0].numel())
        nn.init.uniform_(self.conv.bias, -bound, bound)  # type: ignore[arg-type]

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, C, H, W) to (N, out_channels, H, W)."""
        offset, mask = self._taps(x)
        return self.shortcut(x) + self.act(self.norm(self.conv(x, offset, mask)))

    def _taps(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return offsets (N, 2 K, H, W) and masks (N, K, H, W) of the K taps."""
        offset, modulation = self.offset, self.modulation
        weight = torch.cat((offset.weight, modulation.weight))
        bias = torch.cat((offset.bias, modulation.bias))  # type: ignore[arg-type]
        # one pass over the map instead of two; two modules because checkpoints have them
        y = F.conv2d(x, weight, bias, padding=offset.padding, dilation=offset.dilation)
        offsets, masks = y.split((offset.out_channels, modulation.out_channels), dim=1)
        return self.offset_bound * offsets.tanh(), masks.sigmoid()
