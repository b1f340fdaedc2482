"""Building blocks; they know tensors and arguments, no registry."""

from mmseg_medical.models.layers.deform_conv import ModulatedDeformConv2d, ModulatedDeformConv2dPack
from mmseg_medical.models.layers.hacdr_block import ConvFeedForward, HACDRBlock
from mmseg_medical.models.layers.heterogeneous_attention import HeterogeneousAttention
from mmseg_medical.models.layers.spectral_gate import SpectralGate

__all__ = [
    'ConvFeedForward',
    'HACDRBlock',
    'HeterogeneousAttention',
    'ModulatedDeformConv2d',
    'ModulatedDeformConv2dPack',
    'SpectralGate',
]
