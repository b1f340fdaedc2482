from mmseg_medical.models.backbones.hacdr_net import HACDRNet
from mmseg_medical.models.backbones.rare_unet import RAREUNet
from mmseg_medical.models.backbones.unet import MedicalUNet

__all__ = ['HACDRNet', 'MedicalUNet', 'RAREUNet']
