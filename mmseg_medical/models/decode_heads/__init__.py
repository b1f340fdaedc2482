from mmseg_medical.models.decode_heads.hacdr_head import HACDRHead
from mmseg_medical.models.decode_heads.multi_label_head import MultiLabelDecodeHead

__all__ = ['HACDRHead', 'MultiLabelDecodeHead']
