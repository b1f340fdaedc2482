# Batch norm and sine layers, the light variant, 7,767,755 parameters; not used for the original's published results.
_base_ = [
    '../_base_/models/hippocampus_unet2d_siren.py',
    '../_base_/datasets/msd_hippocampus_slices.py',
    '../_base_/default_runtime.py',
    '../_base_/schedules/hippocampus_100e.py',
]
optim_wrapper = dict(optimizer=dict(lr=3e-4))
log_processor = dict(by_epoch=True)
