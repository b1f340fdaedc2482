# The sibling of HDC-HRNet on ACDC, base: C = 64, depths 3, 4, 6, 3.
_base_ = [
    '../_base_/models/hrnet_resnet34.py',
    '../_base_/datasets/acdc.py',
    '../_base_/schedules/hdc_hrnet_acdc.py',
    '../_base_/default_runtime.py',
]
model = dict(decode_head=dict(loss_decode=dict(class_weight=(0.1, 1.5, 1.5, 1.0))))
log_processor = dict(by_epoch=True)
