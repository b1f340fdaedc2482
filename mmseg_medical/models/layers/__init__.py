"""Building blocks; they know tensors and arguments, no registry."""

from mmseg_medical.models.layers.deform_conv import ModulatedDeformConv2d, ModulatedDeformConv2dPack
from mmseg_medical.models.layers.feature_blocks import FEATURE_BLOCKS, build_feature_block
from mmseg_medical.models.layers.hacdr_block import ConvFeedForward, HACDRBlock
from mmseg_medical.models.layers.heterogeneous_attention import HeterogeneousAttention
from mmseg_medical.models.layers.spectral_gate import SpectralGate

__all__ = [
    'FEATURE_BLOCKS',
    'ConvFeedForward',
    'HACDRBlock',
    'HeterogeneousAttention',
    'ModulatedDeformConv2d',
    'ModulatedDeformConv2dPack',
    'SpectralGate',
    'build_feature_block',
]
