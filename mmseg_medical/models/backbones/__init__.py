from mmseg_medical.models.backbones.hacdr_net import HACDRNet
from mmseg_medical.models.backbones.hrnet_dcn import HRNetDCN
from mmseg_medical.models.backbones.hrnet_resnet34 import HRNetResNet34
from mmseg_medical.models.backbones.mmpretrain_backbone import mmpretrain_backbone
from mmseg_medical.models.backbones.rare_unet import RAREUNet
from mmseg_medical.models.backbones.res2unet3d import Res2UNet3D
from mmseg_medical.models.backbones.unet import MedicalUNet

__all__ = ['HACDRNet', 'HRNetDCN', 'HRNetResNet34', 'MedicalUNet', 'RAREUNet', 'Res2UNet3D', 'mmpretrain_backbone']
