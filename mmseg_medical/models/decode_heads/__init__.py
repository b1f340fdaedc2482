from mmseg_medical.models.decode_heads.aggregate_head import AggregateHead
from mmseg_medical.models.decode_heads.binary_volume_head import BinaryVolumeHead
from mmseg_medical.models.decode_heads.constellation_head import ConstellationHead
from mmseg_medical.models.decode_heads.hacdr_head import HACDRHead
from mmseg_medical.models.decode_heads.implicit_heads import ImplicitHead
from mmseg_medical.models.decode_heads.implicit_volume_head import ImplicitVolumeHead
from mmseg_medical.models.decode_heads.mmseg_point_head import point_sample
from mmseg_medical.models.decode_heads.multi_label_head import MultiLabelDecodeHead
from mmseg_medical.models.decode_heads.point_rend_head import PointRendHead
from mmseg_medical.models.decode_heads.projection_head import ProjectionHead
from mmseg_medical.models.decode_heads.rare_unet_head import RAREUNetHead
from mmseg_medical.models.decode_heads.volume_head import VolumeHead

__all__ = [
    'AggregateHead',
    'BinaryVolumeHead',
    'ConstellationHead',
    'HACDRHead',
    'ImplicitHead',
    'ImplicitVolumeHead',
    'MultiLabelDecodeHead',
    'PointRendHead',
    'ProjectionHead',
    'RAREUNetHead',
    'VolumeHead',
    'point_sample',
]
