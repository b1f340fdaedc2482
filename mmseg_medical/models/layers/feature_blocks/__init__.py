"""Blocks that keep the shape of a map, by name usable in every stage of HDC-HRNet."""

from mmseg_medical.models.layers.feature_blocks.basic import BasicBlock
from mmseg_medical.models.layers.feature_blocks.builder import FEATURE_BLOCKS, build_feature_block
from mmseg_medical.models.layers.feature_blocks.convnext import ConvNeXtBlock
from mmseg_medical.models.layers.feature_blocks.dcn import DeformableBlock
from mmseg_medical.models.layers.feature_blocks.fno import FourierBlock
from mmseg_medical.models.layers.feature_blocks.inverted_residual import InvertedResidualBlock
from mmseg_medical.models.layers.feature_blocks.norm import group_norm
from mmseg_medical.models.layers.feature_blocks.rwkv import RWKVBlock
from mmseg_medical.models.layers.feature_blocks.swin import ShiftedSwinBlock, SwinBlock
from mmseg_medical.models.layers.feature_blocks.wavelet import WaveletBlock, haar, inverse_haar

__all__ = [
    'FEATURE_BLOCKS',
    'BasicBlock',
    'ConvNeXtBlock',
    'DeformableBlock',
    'FourierBlock',
    'InvertedResidualBlock',
    'RWKVBlock',
    'ShiftedSwinBlock',
    'SwinBlock',
    'WaveletBlock',
    'build_feature_block',
    'group_norm',
    'haar',
    'inverse_haar',
]
