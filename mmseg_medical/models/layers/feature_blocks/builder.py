"""Blocks by name."""

from __future__ import annotations

import inspect
from typing import Any

from torch import nn

from mmseg_medical.errors import ConfigError, building, did_you_mean
from mmseg_medical.models.layers.feature_blocks.basic import BasicBlock
from mmseg_medical.models.layers.feature_blocks.convnext import ConvNeXtBlock
from mmseg_medical.models.layers.feature_blocks.dcn import DeformableBlock
from mmseg_medical.models.layers.feature_blocks.fno import FourierBlock
from mmseg_medical.models.layers.feature_blocks.inverted_residual import InvertedResidualBlock
from mmseg_medical.models.layers.feature_blocks.rwkv import RWKVBlock
from mmseg_medical.models.layers.feature_blocks.swin import ShiftedSwinBlock, SwinBlock
from mmseg_medical.models.layers.feature_blocks.wavelet import WaveletBlock

#: What a name builds. A block of your own is added as ``FEATURE_BLOCKS['mine'] = MyBlock``; its class takes the
#: channels, and ``dilation`` if it has one.
FEATURE_BLOCKS: dict[str, type[nn.Module]] = {
    'basic': BasicBlock,
    'convnext': ConvNeXtBlock,
    'dcn': DeformableBlock,
    'inverted_residual': InvertedResidualBlock,
    'swin': SwinBlock,
    'fno': FourierBlock,
    'wavelet': WaveletBlock,
    'rwkv': RWKVBlock,
    'swin_shifted': ShiftedSwinBlock,
}


def build_feature_block(name: str, channels: int, dilation: int = 1, **options: Any) -> nn.Module:
    """Build a block that maps (N, C, H, W) to the same shape.

    Args:
        name (str): A key of ``FEATURE_BLOCKS``.
        channels (int): C.
        dilation (int): Of a block that has one; of the library's, only ``'dcn'`` does, the others ignore it.
        **options: Further arguments of the block's class.

    Raises:
        ConfigError: The block is unknown, does not take an option, or cannot be built with these channels.

    Example:
        >>> import torch
        >>> build_feature_block('basic', 8)(torch.zeros(1, 8, 5, 7)).shape
        torch.Size([1, 8, 5, 7])
    """
    if name not in FEATURE_BLOCKS:
        known = ', '.join(FEATURE_BLOCKS)
        raise ConfigError(
            f'feature block {name!r} is unknown; choose one of {known}.{did_you_mean(name, FEATURE_BLOCKS)}'
        )
    if channels < 1:
        raise ConfigError(f'feature block {name!r} needs at least one channel, got channels={channels}')
    block = FEATURE_BLOCKS[name]
    if 'dilation' in inspect.signature(block).parameters:
        options['dilation'] = dilation
    with building(f'feature block {name!r}'):
        return block(channels, **options)
