from mmseg_medical.models.losses.boundary import VoxelBoundaryLoss
from mmseg_medical.models.losses.cross_entropy import VoxelCrossEntropyLoss
from mmseg_medical.models.losses.dice import SoftDiceLoss
from mmseg_medical.models.losses.dice_ce import DiceCELoss
from mmseg_medical.models.losses.focal import VoxelFocalLoss
from mmseg_medical.models.losses.multi_label_bce import MultiLabelBCELoss
from mmseg_medical.models.losses.na_loss import NALoss
from mmseg_medical.models.losses.pixel_mean_cross_entropy import PixelMeanCrossEntropyLoss
from mmseg_medical.models.losses.tversky import SoftTverskyLoss

__all__ = [
    'DiceCELoss',
    'MultiLabelBCELoss',
    'NALoss',
    'PixelMeanCrossEntropyLoss',
    'SoftDiceLoss',
    'SoftTverskyLoss',
    'VoxelBoundaryLoss',
    'VoxelCrossEntropyLoss',
    'VoxelFocalLoss',
]
