# Half as wide, on one CPU core, a quarter of an hour; the schedule is this project's.
_base_ = [
    '../_base_/models/hippocampus_unet2d_inr.py',
    '../_base_/datasets/msd_hippocampus_slices.py',
    '../_base_/default_runtime.py',
    '../_base_/schedules/hippocampus_cpu.py',
]
base_channels = 16
max_iters = 1200
model = dict(
    backbone=dict(channels=[base_channels * 2**i for i in range(5)]),
    decode_head=dict(in_channels=base_channels, projection=base_channels),
    test_cfg=dict(precision='bfloat16'),
)
optim_wrapper = dict(optimizer=dict(weight_decay=1e-5))
param_scheduler = [_base_.param_scheduler[0], dict(_base_.param_scheduler[1], end=max_iters)]
train_cfg = dict(max_iters=max_iters, val_interval=max_iters)
default_hooks = dict(checkpoint=dict(interval=400))
train_dataloader = dict(num_workers=1, sampler=dict(_delete_=True, type='SeededInfiniteSampler', shuffle=True))
val_dataloader = dict(num_workers=1)
test_dataloader = dict(num_workers=1)
