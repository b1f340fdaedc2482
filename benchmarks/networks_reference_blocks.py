"""Blocks of HDC-HRNet as its specification writes them, step by step; parameters are those of the library's blocks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mmseg_medical.ops import modulated_deform_conv2d


def basic(block: Any, x: Tensor) -> Tensor:
    y = F.relu(block.norm1(block.conv1(x)), inplace=True)
    return F.relu(block.norm2(block.conv2(y)) + x, inplace=True)


def convnext(block: Any, x: Tensor) -> Tensor:
    y = block.norm(block.conv(x).permute(0, 2, 3, 1))
    y = block.scale * block.mlp[2](F.gelu(block.mlp[0](y)))
    return x + y.permute(0, 3, 1, 2)


def dcn(block: Any, x: Tensor, backend: str = 'torch') -> Tensor:
    """Offsets and masks of one convolution each."""
    offset = 3 * torch.tanh(block.offset(x))
    mask = torch.sigmoid(block.modulation(x))
    conv = block.conv
    options = dict(padding=conv.padding, dilation=conv.dilation, backend=backend)
    y = modulated_deform_conv2d(x, offset, mask, conv.weight, conv.bias, **options)
    return x + F.gelu(block.norm(y))


def inverted_residual(block: Any, x: Tensor) -> Tensor:
    y = F.silu(block.norm1(block.expand(x)), inplace=True)
    y = F.silu(block.norm2(block.depthwise(y)), inplace=True)
    return x + block.norm3(block.reduce(y))


def swin(block: Any, x: Tensor) -> Tensor:
    """Attention by its definition: scores, a mask of -100 between regions, softmax, mean of the values."""
    y = x.permute(0, 2, 3, 1)
    y = y + _window_attention(block.attention, block.norm1(y))
    y = y + block.mlp[2](F.gelu(block.mlp[0](block.norm2(y))))
    return y.permute(0, 3, 1, 2)


def _window_attention(attention: Any, x: Tensor) -> Tensor:
    height, width = x.shape[1:3]
    window, shift, heads = attention.window, attention.shift, attention.num_heads
    x = F.pad(x, (0, 0, 0, -width % window, 0, -height % window))
    whole = x.shape
    shift = shift if min(whole[1:3]) > window else 0  # nothing to exchange with
    if shift:
        x = torch.roll(x, (-shift, -shift), (1, 2))
    tokens = _windows(x, window)
    count, positions, channels = tokens.shape
    qkv = attention.qkv(tokens).reshape(count, positions, 3, heads, channels // heads).permute(2, 0, 3, 1, 4)
    scores = qkv[0] * (channels // heads) ** -0.5 @ qkv[1].transpose(-2, -1)
    if shift:
        mask = _shift_mask(whole[1:3], window, shift)
        scores = scores.view(whole[0], -1, heads, positions, positions) + mask[None, :, None]
        scores = scores.view(count, heads, positions, positions)
    y = (scores.softmax(-1) @ qkv[2]).transpose(1, 2).reshape(count, positions, channels)
    y = attention.proj(y).view(whole[0], whole[1] // window, whole[2] // window, window, window, channels)
    y = y.permute(0, 1, 3, 2, 4, 5).reshape(whole)
    if shift:
        y = torch.roll(y, (shift, shift), (1, 2))
    return y[:, :height, :width]


def _windows(x: Tensor, window: int) -> Tensor:
    n, height, width, channels = x.shape
    x = x.view(n, height // window, window, width // window, window, channels)
    return x.permute(0, 1, 3, 2, 4, 5).reshape(-1, window**2, channels)


def _shift_mask(size: torch.Size, window: int, shift: int) -> Tensor:
    region = torch.zeros(1, *size, 1)
    cuts = (slice(0, -window), slice(-window, -shift), slice(-shift, None))
    for i, rows in enumerate(cuts):
        for j, columns in enumerate(cuts):
            region[:, rows, columns] = 3 * i + j
    ids = _windows(region, window)[..., 0]
    return -100.0 * (ids[:, None] != ids[:, :, None]).float()


def fno(block: Any, x: Tensor) -> Tensor:
    """The whole spectrum, of which all but a corner is zero."""
    height, width = x.shape[2:]
    rows, columns = min(block.spectral.modes, height // 2 + 1), min(block.spectral.modes, width // 2 + 1)
    weight = torch.view_as_complex(block.spectral.weight)[:, :, :rows, :columns]
    spectrum = torch.fft.rfft2(x, norm='ortho')
    kept = torch.zeros_like(spectrum)
    kept[:, :, :rows, :columns] = torch.einsum('bixy,ioxy->boxy', spectrum[:, :, :rows, :columns], weight)
    x = x + torch.fft.irfft2(kept, s=(height, width), norm='ortho')
    return x + block.mlp[2](F.gelu(block.mlp[0](x)))


def wavelet(block: Any, x: Tensor) -> Tensor:
    height, width = x.shape[2:]
    y = F.pad(x, (0, width % 2, 0, height % 2))
    a, b, c, d = y[..., 0::2, 0::2], y[..., 0::2, 1::2], y[..., 1::2, 0::2], y[..., 1::2, 1::2]
    bands = (a + b + c + d) / 2, (a - b + c - d) / 2, (a + b - c - d) / 2, (a - b - c + d) / 2
    ll, lh, hl, hh = (conv(band) for conv, band in zip(block.convs, bands, strict=True))
    out = torch.zeros_like(y)
    out[..., 0::2, 0::2] = (ll + lh + hl + hh) / 2
    out[..., 0::2, 1::2] = (ll - lh + hl - hh) / 2
    out[..., 1::2, 0::2] = (ll + lh - hl - hh) / 2
    out[..., 1::2, 1::2] = (ll - lh - hl + hh) / 2
    return x + F.gelu(block.norm(out[..., :height, :width]))


def rwkv(block: Any, x: Tensor) -> Tensor:
    n, channels, height, width = x.shape
    y = x.flatten(2).transpose(1, 2)
    previous = torch.cat((torch.zeros_like(y[:, :1]), y[:, :-1]), dim=1)
    key, value, gate = (
        linear(block.norm1(mix * y + (1 - mix) * previous))
        for linear, mix in ((block.key, block.mix_key), (block.value, block.mix_value), (block.gate, block.mix_gate))
    )
    weight = torch.exp(key - key.max(dim=1, keepdim=True).values)
    context = (weight * value).sum(1, keepdim=True) / (weight.sum(1, keepdim=True) + 1e-6)
    y = y + torch.sigmoid(gate) * block.output(context)
    y = y + block.mlp[2](F.gelu(block.mlp[0](block.norm2(y))))
    return y.transpose(1, 2).reshape(n, channels, height, width)


REFERENCE_BLOCKS: dict[str, Callable[[Any, Tensor], Tensor]] = {
    'basic': basic,
    'convnext': convnext,
    'dcn': dcn,
    'inverted_residual': inverted_residual,
    'swin': swin,
    'fno': fno,
    'wavelet': wavelet,
    'rwkv': rwkv,
    'swin_shifted': swin,
}


class ReferenceBlock(nn.Module):
    """The formulation above of one of the library's blocks, with its parameters."""

    def __init__(self, name: str, block: nn.Module) -> None:
        super().__init__()
        self.block = block
        self.run = REFERENCE_BLOCKS[name]

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, C, H, W) to the same shape."""
        return self.run(self.block, x)
