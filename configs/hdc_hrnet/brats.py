# HDC-HRNet on BraTS 2021. The release normalises by the voxels that T1 shows and shifts the background along, which is
# then no longer 0; it scores the three labels, here Dice is that of the regions WT, TC and ET.
_base_ = [
    '../_base_/models/hrnet_dcn_small.py',
    '../_base_/datasets/brats.py',
    '../_base_/schedules/hdc_hrnet_150e.py',
    '../_base_/default_runtime.py',
]
model = dict(backbone=dict(in_channels=4), decode_head=dict(supervision_weights=()))
log_processor = dict(by_epoch=True)
