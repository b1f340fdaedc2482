"""Networks, heads, losses and segmentors; importing this registers them."""

from mmseg_medical.models.backbones import HACDRNet, HRNetDCN, HRNetResNet34, MedicalUNet, RAREUNet, Res2UNet3D
from mmseg_medical.models.data_preprocessors import VolumeDataPreProcessor
from mmseg_medical.models.decode_heads import (
    AggregateHead,
    BinaryVolumeHead,
    ConstellationHead,
    HACDRHead,
    ImplicitHead,
    MultiLabelDecodeHead,
    PointRendHead,
    ProjectionHead,
    RAREUNetHead,
    VolumeHead,
)
from mmseg_medical.models.layers import ModulatedDeformConv2d, ModulatedDeformConv2dPack
from mmseg_medical.models.losses import MultiLabelBCELoss, NALoss, PixelMeanCrossEntropyLoss
from mmseg_medical.models.segmentors import (
    MedicalCascadeEncoderDecoder,
    MedicalEncoderDecoder,
    MedicalSegTTAModel,
    RAREUNetSegmentor,
    VolumeSegmentor,
)
from mmseg_medical.registry import MODELS

# mmcv's name: a config's conv_cfg=dict(type='DCNv2') finds ours, compiled operators or not.
MODELS.register_module('DCNv2', module=ModulatedDeformConv2dPack)

__all__ = [
    'AggregateHead',
    'BinaryVolumeHead',
    'ConstellationHead',
    'HACDRHead',
    'HACDRNet',
    'HRNetDCN',
    'HRNetResNet34',
    'ImplicitHead',
    'MedicalCascadeEncoderDecoder',
    'MedicalEncoderDecoder',
    'MedicalSegTTAModel',
    'MedicalUNet',
    'ModulatedDeformConv2d',
    'ModulatedDeformConv2dPack',
    'MultiLabelBCELoss',
    'MultiLabelDecodeHead',
    'NALoss',
    'PixelMeanCrossEntropyLoss',
    'PointRendHead',
    'ProjectionHead',
    'RAREUNet',
    'RAREUNetHead',
    'RAREUNetSegmentor',
    'Res2UNet3D',
    'VolumeDataPreProcessor',
    'VolumeHead',
    'VolumeSegmentor',
]
