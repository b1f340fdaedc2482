"""HDC-HRNet's backbone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from mmengine.model import BaseModule
from torch import Tensor, nn

from mmseg_medical.errors import ConfigError, did_you_mean
from mmseg_medical.models.layers.bottleneck import Bottleneck
from mmseg_medical.models.layers.conv_group_norm import ConvGroupNorm
from mmseg_medical.models.layers.feature_blocks import FEATURE_BLOCKS
from mmseg_medical.models.layers.hrnet_stage import HRNetStage
from mmseg_medical.models.layers.hrnet_stems import STEM_CHANNELS, HRNetStem
from mmseg_medical.registry import MODELS

RELEASED_BLOCKS = (('dcn',) * 2, ('dcn',) * 4, ('dcn',) * 6)


@MODELS.register_module()
class HRNetDCN(BaseModule):
    """High-resolution network (Sun et al., CVPR 2019) of deformable blocks whose dilation grows from block to block.

    Stem, four bottlenecks, then stages of two, three and four streams of C, 2C, 4C, 8C channels, each half as fine as
    the one before; each stage ends with a fusion. Sizes need not be divisible: each halving rounds up. The defaults
    are the release's base configuration.

    Args:
        in_channels (int): Channels of the image.
        base_channels (int): C; 8 must divide it.
        stem (str): ``'full'``: the finest stream has the size of the image; ``'standard'``: a quarter of it.
        blocks (Sequence[Sequence[str]]): Names of the blocks of stages 2, 3 and 4, the same on every stream, see
            :func:`~mmseg_medical.models.layers.feature_blocks.build_feature_block`.
        block_options (Mapping[str, Mapping] | None): Arguments of blocks by their name, e.g.
            ``dict(dcn=dict(backend='mmcv'))``; those of blocks that no stage has are not used.
        dilation_mode (str): Of the ``'dcn'`` blocks, ``'code'``, ``'readme'`` or ``'none'``, see
            :func:`~mmseg_medical.models.layers.hrnet_stage.block_dilations`.
        with_cp (bool): Compute blocks anew in the backward pass instead of keeping what is in them, for memory.
        init_cfg (dict | None): As in mmengine; None leaves torch's initialisation, as in the release.

    Raises:
        ConfigError: A name is unknown, ``blocks`` are not those of three stages, or a block cannot be built with the
            channels.

    Example:
        >>> import torch
        >>> net = HRNetDCN(base_channels=8, blocks=[['basic']] * 3)
        >>> [tuple(stream.shape) for stream in net(torch.zeros(1, 3, 20, 17))]
        [(1, 8, 20, 17), (1, 16, 10, 9), (1, 32, 5, 5), (1, 64, 3, 3)]
    """

    def __init__(
        self,
        in_channels: int = 3,
        base_channels: int = 48,
        *,
        stem: str = 'full',
        blocks: Sequence[Sequence[str]] = RELEASED_BLOCKS,
        block_options: Mapping[str, Mapping[str, Any]] | None = None,
        dilation_mode: str = 'code',
        with_cp: bool = False,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(init_cfg=init_cfg)
        if len(blocks) != 3 or any(isinstance(names, str) or not names for names in blocks):
            raise ConfigError(
                f'blocks must be three lists of names, for stages 2, 3 and 4, e.g. [["dcn"] * 2, ["dcn"] * 4, '
                f'["dcn"] * 6], got {blocks!r}'
            )
        for name in block_options or {}:
            if name not in FEATURE_BLOCKS:
                raise ConfigError(f'block_options names no block: {name!r}.{did_you_mean(name, FEATURE_BLOCKS)}')
        self._channels = tuple(base_channels * 2**i for i in range(4))
        c = self._channels
        self.stem = HRNetStem(in_channels, stem)
        self.layer1 = nn.Sequential(*(Bottleneck(STEM_CHANNELS if i == 0 else 256, 64) for i in range(4)))
        self.transitions = nn.ModuleList(
            [
                nn.ModuleList([ConvGroupNorm(256, c[0]), ConvGroupNorm(256, c[1], stride=2)]),
                nn.ModuleList([ConvGroupNorm(c[1], c[2], stride=2)]),
                nn.ModuleList([ConvGroupNorm(c[2], c[3], stride=2)]),
            ]
        )
        self.stages = nn.ModuleList(
            HRNetStage(c[: 2 + i], names, dilation_mode=dilation_mode, block_options=block_options, with_cp=with_cp)
            for i, names in enumerate(blocks)
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
        x = self.layer1(self.stem(x))
        streams: tuple[Tensor, ...] = ()
        for new_streams, stage in zip(self.transitions, self.stages, strict=True):
            # the first two streams both begin with layer 1, the later ones with the coarsest stream so far
            source = streams[-1] if streams else x
            streams = stage((*streams, *(transition(source) for transition in new_streams.children())))
        return streams
