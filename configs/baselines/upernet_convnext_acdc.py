# UPerNet-ConvNeXt on ACDC.
_base_ = [
    '../_base_/models/upernet_convnext_tiny.py',
    '../_base_/datasets/acdc.py',
    '../_base_/schedules/hdc_hrnet_acdc.py',
    '../_base_/default_runtime.py',
]
# a batch norm of pooled maps of one pixel needs more than one image
train_dataloader = dict(drop_last=True)
log_processor = dict(by_epoch=True)
