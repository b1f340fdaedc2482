from mmseg_medical.models.losses.multi_label_bce import MultiLabelBCELoss
from mmseg_medical.models.losses.na_loss import NALoss
from mmseg_medical.models.losses.pixel_mean_cross_entropy import PixelMeanCrossEntropyLoss

__all__ = ['MultiLabelBCELoss', 'NALoss', 'PixelMeanCrossEntropyLoss']
