# 1,402,727 parameters, three divisions.
_base_ = [
    '../_base_/models/hippocampus_unet3d_inr_light.py',
    '../_base_/datasets/msd_hippocampus_unit.py',
    '../_base_/default_runtime.py',
    '../_base_/schedules/hippocampus_100e.py',
]
log_processor = dict(by_epoch=True)
