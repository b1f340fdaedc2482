"""One stage of a high-resolution network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from mmseg_medical.errors import ConfigError, did_you_mean
from mmseg_medical.models.layers.feature_blocks import build_feature_block
from mmseg_medical.models.layers.stream_fusion import StreamFusion

DILATION_MODES = ('code', 'readme', 'none')


def block_dilations(number: int, mode: str = 'code') -> tuple[int, ...]:
    """Dilation of each block of a stage.

    Args:
        number (int): Blocks of the stage, those without dilation included.
        mode (str): ``'code'``: 1, 2, 4 ... 32, 32 from three blocks on, else 1; ``'readme'``: the same for any number
            of blocks, as the release describes itself; ``'none'``: 1.

    Raises:
        ConfigError: The mode is unknown.

    Example:
        >>> block_dilations(2), block_dilations(4), block_dilations(2, 'readme')
        ((1, 1), (1, 2, 4, 8), (1, 2))
    """
    if mode not in DILATION_MODES:
        raise ConfigError(
            f'dilation_mode={mode!r} is unknown; choose one of {DILATION_MODES}.{did_you_mean(mode, DILATION_MODES)}'
        )
    if mode == 'none' or (mode == 'code' and number < 3):
        return (1,) * number
    return tuple(2 ** min(i, 5) for i in range(number))


class HRNetStage(nn.Module):
    """The same row of blocks on every stream, then their fusion (Sun et al., CVPR 2019, doi:10.1109/CVPR.2019.00584).

    Args:
        channels (Sequence[int]): Of the streams, the finest first.
        blocks (Sequence[str]): Names, see
            :func:`~mmseg_medical.models.layers.feature_blocks.build_feature_block`.
        dilation_mode (str): See :func:`block_dilations`.
        block_options (Mapping[str, Mapping] | None): Arguments of blocks, by their name.
        fusion (str): Kind, see :class:`StreamFusion`.
        with_cp (bool): Compute the blocks anew in the backward pass instead of keeping what is in them.

    Raises:
        ConfigError: A name or option is unknown, or a block cannot be built with the channels.
    """

    def __init__(
        self,
        channels: Sequence[int],
        blocks: Sequence[str],
        *,
        dilation_mode: str = 'code',
        block_options: Mapping[str, Mapping[str, Any]] | None = None,
        fusion: str = 'hrnet',
        with_cp: bool = False,
    ) -> None:
        super().__init__()
        options = block_options or {}
        dilations = block_dilations(len(blocks), dilation_mode)
        self.branches = nn.ModuleList(
            nn.Sequential(
                *(
                    build_feature_block(name, width, dilation, **options.get(name, {}))
                    for name, dilation in zip(blocks, dilations, strict=True)
                )
            )
            for width in channels
        )
        self.fusion = StreamFusion(channels, fusion)
        self.with_cp = with_cp

    def forward(self, streams: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """Map streams, each (N, C_j, H_j, W_j), to streams of the same shapes."""
        return self.fusion([self._run(branch, x) for branch, x in zip(self.branches, streams, strict=True)])

    def _run(self, branch: nn.Module, x: Tensor) -> Tensor:
        if self.with_cp and torch.is_grad_enabled() and x.requires_grad:
            return checkpoint(branch, x, use_reentrant=False)
        return branch(x)
