# What two CPU cores train in an hour: in bfloat16 where the processor has it.
_base_ = './volumes_50k.py'
max_iters = 9000
optim_wrapper = dict(type='BFloat16OptimWrapper')
param_scheduler = [
    dict(type='LinearLR', start_factor=0.02, begin=0, end=50, by_epoch=False),
    dict(type='PolyLR', power=0.9, eta_min=0.0, begin=0, end=max_iters, by_epoch=False),
]
train_cfg = dict(max_iters=max_iters, val_interval=1500)
default_hooks = dict(checkpoint=dict(interval=1500))
