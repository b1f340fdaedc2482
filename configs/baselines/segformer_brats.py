# SegFormer on BraTS 2021.
_base_ = [
    '../_base_/models/segformer_b0.py',
    '../_base_/datasets/brats.py',
    '../_base_/schedules/hdc_hrnet_150e.py',
    '../_base_/default_runtime.py',
]
model = dict(backbone=dict(in_channels=4))
log_processor = dict(by_epoch=True)
