"""The sibling of HDC-HRNet with basic residual blocks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mmengine.model import BaseModule
from torch import Tensor, nn

from mmseg_medical.errors import ConfigError
from mmseg_medical.models.layers.conv_group_norm import ConvGroupNorm
from mmseg_medical.models.layers.feature_blocks import build_feature_block
from mmseg_medical.models.layers.hrnet_stage import HRNetStage
from mmseg_medical.models.layers.hrnet_stems import ResNetStem
from mmseg_medical.registry import MODELS

_FUSIONS = {'released': 'swapped', 'corrected': 'hrnet'}
#: normal with the variance of the outputs (He et al., ICCV 2015), as released
RELEASED_INIT = (
    dict(type='Kaiming', layer='Conv2d', mode='fan_out', nonlinearity='relu', distribution='normal'),
    dict(type='Constant', layer='GroupNorm', val=1, bias=0),
)


@MODELS.register_module()
class HRNetResNet34(BaseModule):
    """High-resolution network whose streams begin one after the other, with ResNet-34's depths.

    Basic blocks on one stream; then, three times, a new stream of twice the channels and half the size begins at the
    coarsest one, and basic blocks on all streams and a fusion follow. The defaults are the release's base
    configuration; small is ``base_channels=32, depths=(2, 3, 4, 2)``, large ``depths=(3, 4, 23, 3)``.

    Args:
        in_channels (int): Channels of the image.
        base_channels (int): C of the finest stream; 8 must divide it.
        depths (Sequence[int]): Blocks of a stream while there are one, two, three and four streams.
        stem (str): ``'full'``: the finest stream has the size of the image; ``'standard'``: a quarter of it.
        fusion (str): ``'released'``: the way to finer streams is a strided convolution, the way to coarser ones a 1x1
            convolution; ``'corrected'``: the other way round, as in HRNet.
        with_cp (bool): Compute blocks anew in the backward pass instead of keeping what is in them, for memory.
        init_cfg (dict | Sequence[dict] | None): As in mmengine.

    Raises:
        ConfigError: A name is unknown, there are not four depths, or the channels cannot be divided into groups.
    """

    def __init__(
        self,
        in_channels: int = 3,
        base_channels: int = 64,
        depths: Sequence[int] = (3, 4, 6, 3),
        *,
        stem: str = 'full',
        fusion: str = 'released',
        with_cp: bool = False,
        init_cfg: Any = RELEASED_INIT,
    ) -> None:
        super().__init__(init_cfg=list(init_cfg) if isinstance(init_cfg, tuple) else init_cfg)
        if len(depths) != 4:
            raise ConfigError(f'depths must be four numbers of blocks, one for each number of streams, got {depths}')
        if fusion not in _FUSIONS:
            raise ConfigError(f"fusion must be 'released' or 'corrected', got {fusion!r}")
        self._channels = tuple(base_channels * 2**i for i in range(4))
        c = self._channels
        self.stem = ResNetStem(in_channels, base_channels, stem)
        self.layer1 = nn.Sequential(*(build_feature_block('basic', base_channels) for _ in range(depths[0])))
        self.transitions = nn.ModuleList(ConvGroupNorm(c[i], c[i + 1], stride=2) for i in range(3))
        self.stages = nn.ModuleList(
            HRNetStage(c[: 2 + i], ['basic'] * depth, fusion=_FUSIONS[fusion], with_cp=with_cp)
            for i, depth in enumerate(depths[1:])
        )

    @property
    def out_channels(self) -> tuple[int, ...]:
        """Channels of the streams, the finest first: C, 2C, 4C, 8C."""
        return self._channels

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """Map an image to the streams of the last stage.

        Args:
            x (Tensor): shape (N, in_channels, H, W).

        Returns:
            tuple[Tensor, ...]: four maps (N, 2^i C, H_i, W_i), the finest first; H_0 = H or, with the standard stem,
            H / 4, and H_i+1 = H_i / 2, rounded up.
        """
        streams: tuple[Tensor, ...] = (self.layer1(self.stem(x)),)
        for transition, stage in zip(self.transitions, self.stages, strict=True):
            streams = stage((*streams, transition(streams[-1])))
        return streams
