# The light network on one CPU core, a quarter of an hour; the schedule is this project's.
_base_ = [
    '../_base_/models/hippocampus_unet3d_inr_light.py',
    '../_base_/datasets/msd_hippocampus_unit.py',
    '../_base_/default_runtime.py',
    '../_base_/schedules/hippocampus_cpu.py',
]
max_iters = 2000
optim_wrapper = dict(optimizer=dict(weight_decay=1e-5))
param_scheduler = [_base_.param_scheduler[0], dict(_base_.param_scheduler[1], end=max_iters)]
train_cfg = dict(max_iters=max_iters, val_interval=max_iters)
default_hooks = dict(checkpoint=dict(interval=500))
train_dataloader = dict(num_workers=1, sampler=dict(_delete_=True, type='SeededInfiniteSampler', shuffle=True))
val_dataloader = dict(num_workers=1)
test_dataloader = dict(num_workers=1)
