# With the coordinate head, 7,765,923 parameters. Coordinates are those of the slice, not of the volume.
_base_ = [
    '../_base_/models/hippocampus_unet2d_inr.py',
    '../_base_/datasets/msd_hippocampus_slices.py',
    '../_base_/default_runtime.py',
    '../_base_/schedules/hippocampus_100e.py',
]
optim_wrapper = dict(optimizer=dict(lr=3e-4))
log_processor = dict(by_epoch=True)
