"""Exchange between the streams of a high-resolution network."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from mmseg_medical.errors import ConfigError, did_you_mean
from mmseg_medical.models.layers.aligned import resize_aligned
from mmseg_medical.models.layers.conv_group_norm import ConvGroupNorm

FUSIONS = ('hrnet', 'swapped')


class StreamFusion(nn.Module):
    """Every stream becomes the ReLU of the sum of all, each brought to its channels and size.

    From stream i to stream j != i leads one convolution with norm, then, where the size is not that of stream j yet,
    bilinear resizing with aligned corners. Sizes therefore need not be divisible.

    Args:
        channels (Sequence[int]): Of the streams, the finest first; at least two.
        kind (str): ``'hrnet'``: 3x3 of stride 2^(j-i) to coarser streams, 1x1 to finer ones. ``'swapped'``, as
            HRNet-ResNet34 was released: 1x1 to coarser streams, 3x3 of stride 2^(i-j) to finer ones, so that these are
            made coarser still before they are enlarged.

    Raises:
        ConfigError: The kind is unknown, there are fewer than two streams, or channels cannot be divided into the
            groups of the norm.
    """

    def __init__(self, channels: Sequence[int], kind: str = 'hrnet') -> None:
        super().__init__()
        if kind not in FUSIONS:
            raise ConfigError(f'fusion={kind!r} is unknown; choose one of {FUSIONS}.{did_you_mean(kind, FUSIONS)}')
        if len(channels) < 2:
            raise ConfigError(f'at least two streams can be fused, got channels={tuple(channels)}')
        self.paths = nn.ModuleList(
            nn.ModuleList(_path(i, j, channels, kind) for i in range(len(channels))) for j in range(len(channels))
        )

    def forward(self, streams: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """Map streams, each (N, C_j, H_j, W_j), to streams of the same shapes."""
        return tuple(self._sum(row, streams, x.shape[2:]) for row, x in zip(self.paths, streams, strict=True))

    @staticmethod
    def _sum(row: nn.Module, streams: Sequence[Tensor], size: Sequence[int]) -> Tensor:
        (path, x), *others = zip(row.children(), streams, strict=True)
        total = resize_aligned(path(x), size)
        for path, x in others:
            total = total + resize_aligned(path(x), size)
        return total.relu_()  # of two terms at least, so it is no input


def _path(i: int, j: int, channels: Sequence[int], kind: str) -> nn.Module:
    if i == j:
        return nn.Identity()
    strided = (i < j) == (kind == 'hrnet')
    kernel, stride = (3, 2 ** abs(j - i)) if strided else (1, 1)
    return ConvGroupNorm(channels[i], channels[j], kernel, stride, act=None)
