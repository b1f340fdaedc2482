from mmseg_medical.models.backbones.hacdr_net import HACDRNet

__all__ = ['HACDRNet']
