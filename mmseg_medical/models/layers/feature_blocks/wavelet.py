"""Block that convolves the bands of a Haar wavelet transform."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

#: of the norm, where they divide the channels
MAX_GROUPS = 32


def haar(x: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Transform (..., H, W), H and W even, to the orthonormal bands LL, LH, HL, HH of shape (..., H / 2, W / 2).

    LH differs along W, HL along H.

    Example:
        >>> [band.item() for band in haar(torch.tensor([[1.0, 2.0], [3.0, 4.0]]))]
        [5.0, -1.0, -2.0, 0.0]
    """
    top, bottom = x.unflatten(-2, (-1, 2)).unbind(-2)
    (left, right), (left_change, right_change) = (
        rows.unflatten(-1, (-1, 2)).unbind(-1) for rows in ((top + bottom) / 2, (top - bottom) / 2)
    )
    return left + right, left - right, left_change + right_change, left_change - right_change


def inverse_haar(ll: Tensor, lh: Tensor, hl: Tensor, hh: Tensor) -> Tensor:
    """Undo :func:`haar`: four bands (..., H, W) to (..., 2 H, 2 W)."""
    # the transform is its own inverse: orthonormal and symmetric
    mean = torch.stack((ll + lh, ll - lh), -1).flatten(-2)
    change = torch.stack((hl + hh, hl - hh), -1).flatten(-2)
    return torch.stack((mean + change, mean - change), -2).flatten(-3, -2) / 2


class WaveletBlock(nn.Module):
    """Haar transform, a 3x3 convolution a band, inverse transform, norm, GELU, add.

    Odd sizes are padded with zeros at the bottom and the right for the transform. The norm has as many groups as
    divide the channels, at most 32: the release's number at each width that it can build (it asks for 32 at 48).

    Args:
        channels (int): C, any.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.convs = nn.ModuleList(nn.Conv2d(channels, channels, 3, padding=1) for _ in range(4))
        groups = next(n for n in range(min(MAX_GROUPS, channels), 0, -1) if channels % n == 0)
        self.norm = nn.GroupNorm(groups, channels)
        self.act = nn.GELU()

    def forward(self, x: Tensor) -> Tensor:
        """Map (N, C, H, W) to the same shape."""
        height, width = x.shape[2:]
        bands = haar(F.pad(x, (0, width % 2, 0, height % 2)))
        bands_out = [conv(band) for conv, band in zip(self.convs, bands, strict=True)]
        y = inverse_haar(*bands_out)[..., :height, :width]
        return x + self.act(self.norm(y))
