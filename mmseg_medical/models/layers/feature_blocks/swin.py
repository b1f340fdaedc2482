"""Swin's residual block: attention within windows, then an MLP."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from mmcv.cnn.bricks import DropPath
from torch import Tensor, nn

from mmseg_medical.errors import ConfigError
from mmseg_medical.models.layers.feature_blocks.mlp import channel_mlp


class WindowAttention(nn.Module):
    """Multi-head attention among the positions of each window, without position bias.

    Maps are padded with zeros at the bottom and the right to whole windows. With a shift, they are rolled by it
    towards the origin beforehand and back afterwards; positions that were no neighbours before do not see each other.

    Args:
        channels (int): C.
        num_heads (int): Must divide C.
        window (int): Side of a window.
        shift (int): In pixels, at least 0, less than ``window``. An axis of one window is not shifted.
        mask_padding (bool): Hide the padding from the map. The release does not.

    Raises:
        ConfigError: The heads do not divide the channels, or the shift is out of range.
    """

    def __init__(
        self, channels: int, *, num_heads: int = 8, window: int = 7, shift: int = 0, mask_padding: bool = False
    ) -> None:
        super().__init__()
        if num_heads < 1 or channels % num_heads:
            raise ConfigError(f'{channels} channels of a swin block cannot be divided into {num_heads} heads')
        if not 0 <= shift < window:
            raise ConfigError(f'the shift of a swin block must be in [0, {window}), its window, got shift={shift}')
        self.num_heads, self.window, self.shift, self.mask_padding = num_heads, window, shift, mask_padding
        self.qkv = nn.Linear(channels, 3 * channels)
        self.proj = nn.Linear(channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, H, W, C) to the same shape."""
        height, width = x.shape[1:3]
        x = F.pad(x, (0, 0, 0, -width % self.window, 0, -height % self.window))
        shifts = tuple(self.shift if n > self.window else 0 for n in x.shape[1:3])
        x = torch.roll(x, [-s for s in shifts], (1, 2))
        x = self._merge(self._attend(self._split(x), self._mask((height, width), shifts, x)), x.shape)
        return torch.roll(x, shifts, (1, 2))[:, :height, :width]

    def _attend(self, x: Tensor, mask: Tensor | None) -> Tensor:
        """Attend within windows (N * M, P, C) of P positions; ``mask (M, P, P)`` is True where one sees another."""
        windows, positions, channels = x.shape
        qkv = self.qkv(x).reshape(windows, positions, 3, self.num_heads, channels // self.num_heads)
        query, key, value = qkv.permute(2, 0, 3, 1, 4)
        if mask is not None:
            mask = mask.repeat(windows // len(mask), 1, 1)[:, None]
        x = _attention(query, key, value, mask)
        return self.proj(x.transpose(1, 2).reshape(windows, positions, channels))

    def _split(self, x: Tensor) -> Tensor:
        n, height, width, channels = x.shape
        size = self.window
        x = x.reshape(n, height // size, size, width // size, size, channels)
        return x.transpose(2, 3).reshape(-1, size**2, channels)

    def _merge(self, windows: Tensor, shape: torch.Size) -> Tensor:
        n, height, width, channels = shape
        size = self.window
        x = windows.reshape(n, height // size, width // size, size, size, channels)
        return x.transpose(2, 3).reshape(shape)

    def _mask(self, size: tuple[int, int], shifts: tuple[int, ...], padded: Tensor) -> Tensor | None:
        """Return (M, P, P), True where both positions belong to one region, or None where all windows are whole."""
        if not any(shifts) and not (self.mask_padding and size != tuple(padded.shape[1:3])):
            return None
        regions = [
            self._regions(n, whole, shift, padded.device)
            for n, whole, shift in zip(size, padded.shape[1:3], shifts, strict=True)
        ]
        # an axis has at most four regions
        ids = self._split((4 * regions[0][:, None] + regions[1])[None, ..., None])[..., 0]
        return ids[:, :, None] == ids[:, None, :]

    def _regions(self, size: int, padded: int, shift: int, device: torch.device) -> Tensor:
        """Number what belongs together along an axis of ``padded`` positions: the part rolled over, and padding."""
        position = torch.arange(padded, device=device)
        region = (position >= padded - shift).long()
        if self.mask_padding:
            region = region + 2 * ((position + shift) % padded >= size)
        return region


def _attention(query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None) -> Tensor:
    """Attend within sequences (B, heads, P, D); ``mask`` (B, 1, P, P) is True where one position sees another."""
    if query.device.type != 'cpu':
        return F.scaled_dot_product_attention(query, key, value, attn_mask=mask)
    # torch's fused kernel for the CPU is made for long sequences: over windows of 49 it takes a third longer
    scores = (query * query.shape[-1] ** -0.5) @ key.transpose(-2, -1)
    if mask is not None:
        scores = scores.masked_fill(~mask, -torch.inf)
    return scores.softmax(-1) @ value


class SwinBlock(nn.Module):
    """Norm, window attention, add; norm, MLP, add (Liu et al., ICCV 2021, doi:10.1109/ICCV48922.2021.00986).

    The release never shifts; :class:`ShiftedSwinBlock` as every second one lets windows exchange what they know.

    Args:
        channels (int): C.
        num_heads (int): Must divide C.
        window (int): Side of a window.
        shift (int): See :class:`WindowAttention`.
        mask_padding (bool): See :class:`WindowAttention`.
        drop_path_rate (float): Probability that a sample skips a branch.

    Raises:
        ConfigError: The heads do not divide the channels, or the shift is out of range.
    """

    def __init__(
        self,
        channels: int,
        *,
        num_heads: int = 8,
        window: int = 7,
        shift: int = 0,
        mask_padding: bool = False,
        drop_path_rate: float = 0.0,
    ) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(channels)
        self.attention = WindowAttention(
            channels, num_heads=num_heads, window=window, shift=shift, mask_padding=mask_padding
        )
        self.norm2 = nn.LayerNorm(channels)
        self.mlp = channel_mlp(channels)
        self.drop_path = DropPath(drop_path_rate) if drop_path_rate > 0 else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, C, H, W) to the same shape."""
        y = x.permute(0, 2, 3, 1)
        y = y + self.drop_path(self.attention(self.norm1(y)))
        y = y + self.drop_path(self.mlp(self.norm2(y)))
        return y.permute(0, 3, 1, 2)


class ShiftedSwinBlock(SwinBlock):
    """:class:`SwinBlock` whose windows lie across the borders of those of the block before it.

    The release has no such block: in a row of unshifted ones, windows know nothing of each other.

    Args:
        channels (int): C.
        window (int): Side of a window; the shift is half of it, rounded down.
        **options: Of :class:`SwinBlock`.
    """

    def __init__(self, channels: int, *, window: int = 7, **options: Any) -> None:
        super().__init__(channels, window=window, shift=window // 2, **options)
