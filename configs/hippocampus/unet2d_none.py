# The 2D network of the original's published results, 7,763,587 parameters, with its learning rate and batches of 16.
_base_ = [
    '../_base_/models/hippocampus_unet2d.py',
    '../_base_/datasets/msd_hippocampus_slices.py',
    '../_base_/default_runtime.py',
    '../_base_/schedules/hippocampus_100e.py',
]
optim_wrapper = dict(optimizer=dict(lr=3e-4))
log_processor = dict(by_epoch=True)
