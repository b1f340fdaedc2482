# RARE-UNet's recipe: the learning rate follows the plateau of full resolution, the end the coarser scales. The learning
# rate is that of the documented commands, the configuration file has 3e-4.
optim_wrapper = dict(
    type='AmpOptimWrapper',
    optimizer=dict(type='AdamW', lr=2e-3, weight_decay=3e-5),
    clip_grad=dict(max_norm=1.0),
)
param_scheduler = dict(
    type='ReduceOnPlateauLR',
    monitor='dice_fullres',
    rule='greater',
    factor=0.5,
    patience=10,
    threshold=1e-3,
    threshold_rule='rel',
    min_value=1e-6,
)
train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=80, val_interval=1)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
default_hooks = dict(
    timer=dict(type='IterTimerHook'),
    logger=dict(type='LoggerHook', interval=50),
    param_scheduler=dict(type='ParamSchedulerHook'),
    checkpoint=dict(
        type='CheckpointHook',
        interval=1,
        max_keep_ckpts=1,
        save_last=True,
        save_best='dice_multiscale_avg',
        rule='greater',
    ),
    sampler_seed=dict(type='DistSamplerSeedHook'),
)
custom_hooks = [
    dict(
        type='EarlyStoppingHook',
        monitor='dice_multiscale_avg',
        rule='greater',
        min_delta=1e-3,
        patience=35,
        strict=True,
    )
]
randomness = dict(seed=42, deterministic=True)
