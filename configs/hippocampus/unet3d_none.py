# The 3D network without an implicit head, to tell what the head adds.
_base_ = [
    '../_base_/models/hippocampus_unet3d.py',
    '../_base_/datasets/msd_hippocampus_unit.py',
    '../_base_/default_runtime.py',
    '../_base_/schedules/hippocampus_100e.py',
]
log_processor = dict(by_epoch=True)
