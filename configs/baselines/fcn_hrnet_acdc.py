# FCN-HRNet on ACDC.
_base_ = [
    '../_base_/models/fcn_hrnet_w48.py',
    '../_base_/datasets/acdc.py',
    '../_base_/schedules/hdc_hrnet_acdc.py',
    '../_base_/default_runtime.py',
]
log_processor = dict(by_epoch=True)
