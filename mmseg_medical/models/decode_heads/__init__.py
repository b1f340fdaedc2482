from mmseg_medical.models.decode_heads.hacdr_head import HACDRHead
from mmseg_medical.models.decode_heads.multi_label_head import MultiLabelDecodeHead
from mmseg_medical.models.decode_heads.rare_unet_head import RAREUNetHead
from mmseg_medical.models.decode_heads.volume_head import VolumeHead

__all__ = ['HACDRHead', 'MultiLabelDecodeHead', 'RAREUNetHead', 'VolumeHead']
