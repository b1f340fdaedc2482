# AdamW and a cosine that restarts after 10, 30 and 70 epochs. Mixed precision as in the grid searches; the original's
# 3D script has none. Its 2D script has a learning rate of 3e-4 and batches of 16.
optim_wrapper = dict(type='AmpOptimWrapper', optimizer=dict(type='AdamW', lr=1e-4, weight_decay=1e-5))
param_scheduler = dict(
    type='CosineRestartLR', periods=[10, 20, 40, 80], restart_weights=[1, 1, 1, 1], eta_min=1e-6, by_epoch=True
)
train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=100, val_interval=1)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
default_hooks = dict(
    timer=dict(type='IterTimerHook'),
    logger=dict(type='LoggerHook', interval=50),
    param_scheduler=dict(type='ParamSchedulerHook'),
    checkpoint=dict(type='CheckpointHook', interval=10, max_keep_ckpts=1, save_best='dice', rule='greater'),
    sampler_seed=dict(type='DistSamplerSeedHook'),
)
randomness = dict(seed=0)
