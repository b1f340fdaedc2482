# A classifier at every step of the decoder, 7,763,884 parameters; the original has no loss for it.
_base_ = [
    '../_base_/models/hippocampus_unet2d_deep_supervision.py',
    '../_base_/datasets/msd_hippocampus_slices.py',
    '../_base_/default_runtime.py',
    '../_base_/schedules/hippocampus_100e.py',
]
optim_wrapper = dict(optimizer=dict(lr=3e-4))
log_processor = dict(by_epoch=True)
