from mmseg_medical.models.losses.multi_label_bce import MultiLabelBCELoss
from mmseg_medical.models.losses.na_loss import NALoss

__all__ = ['MultiLabelBCELoss', 'NALoss']
