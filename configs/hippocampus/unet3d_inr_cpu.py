# The light network on one CPU core, some ten minutes; the schedule is this project's.
_base_ = './unet3d_inr_light.py'
max_iters = 2000
optim_wrapper = dict(type='BFloat16OptimWrapper', optimizer=dict(lr=1e-3), clip_grad=dict(max_norm=1.0))
param_scheduler = [
    dict(type='LinearLR', start_factor=0.02, begin=0, end=50, by_epoch=False),
    dict(type='PolyLR', power=0.9, eta_min=0.0, begin=0, end=max_iters, by_epoch=False),
]
train_cfg = dict(_delete_=True, type='IterBasedTrainLoop', max_iters=max_iters, val_interval=max_iters)
train_dataloader = dict(num_workers=1, sampler=dict(_delete_=True, type='SeededInfiniteSampler', shuffle=True))
val_dataloader = dict(num_workers=1)
test_dataloader = dict(num_workers=1)
default_hooks = dict(
    logger=dict(log_metric_by_epoch=False),
    checkpoint=dict(by_epoch=False, interval=500),
)
custom_hooks = [dict(type='EMAHook', ema_type='MomentumAnnealingEMA', momentum=0.001, gamma=10)]
log_processor = dict(by_epoch=False)
