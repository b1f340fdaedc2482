# HDC-HRNet's recipe: the learning rate falls along a cosine over all epochs, a step an epoch, without a warm-up (of
# the release's ten epochs of warm-up only the loss knows). --amp trains in half precision.
max_epochs = 150
optim_wrapper = dict(type='OptimWrapper', optimizer=dict(type='AdamW', lr=1e-4, weight_decay=1e-5))
# mmengine stops short of end; the minimum is that of the epoch after the last one
param_scheduler = dict(
    type='CosineAnnealingLR', T_max=max_epochs, eta_min=1e-6, begin=0, end=max_epochs + 1, by_epoch=True
)
train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=max_epochs, val_interval=5)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
default_hooks = dict(
    timer=dict(type='IterTimerHook'),
    logger=dict(type='LoggerHook', interval=50),
    param_scheduler=dict(type='ParamSchedulerHook'),
    checkpoint=dict(type='CheckpointHook', interval=5, max_keep_ckpts=1, save_best='dice', rule='greater'),
    sampler_seed=dict(type='DistSamplerSeedHook'),
)
randomness = dict(seed=42)
