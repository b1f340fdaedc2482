from mmseg_medical.models.decode_heads.hacdr_head import HACDRHead
from mmseg_medical.models.decode_heads.multi_label import MultiLabelMixin

__all__ = ['HACDRHead', 'MultiLabelMixin']
