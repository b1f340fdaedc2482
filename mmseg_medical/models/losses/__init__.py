from mmseg_medical.models.losses.boundary import VoxelBoundaryLoss
from mmseg_medical.models.losses.cross_entropy import VoxelCrossEntropyLoss
from mmseg_medical.models.losses.deep_supervision_loss import DeepSupervisionLoss
from mmseg_medical.models.losses.dice import SoftDiceLoss
from mmseg_medical.models.losses.dice_ce import DiceCELoss
from mmseg_medical.models.losses.distance_error import DistanceErrorLoss
from mmseg_medical.models.losses.edge import EdgeCrossEntropyLoss
from mmseg_medical.models.losses.energy_gated import EnergyGatedLoss
from mmseg_medical.models.losses.eye_opening import EyeOpeningLoss
from mmseg_medical.models.losses.focal import VoxelFocalLoss
from mmseg_medical.models.losses.hdc_hrnet import HDCHRNetLoss
from mmseg_medical.models.losses.multi_label_bce import MultiLabelBCELoss
from mmseg_medical.models.losses.na_loss import NALoss
from mmseg_medical.models.losses.pixel_mean_cross_entropy import PixelMeanCrossEntropyLoss
from mmseg_medical.models.losses.spectral import FrequencyLoss, SpectralDualLoss
from mmseg_medical.models.losses.tversky import SoftTverskyLoss

__all__ = [
    'DeepSupervisionLoss',
    'DiceCELoss',
    'DistanceErrorLoss',
    'EdgeCrossEntropyLoss',
    'EnergyGatedLoss',
    'EyeOpeningLoss',
    'FrequencyLoss',
    'HDCHRNetLoss',
    'MultiLabelBCELoss',
    'NALoss',
    'PixelMeanCrossEntropyLoss',
    'SoftDiceLoss',
    'SoftTverskyLoss',
    'SpectralDualLoss',
    'VoxelBoundaryLoss',
    'VoxelCrossEntropyLoss',
    'VoxelFocalLoss',
]
