# The small network with the standard stem for one CPU core and forty minutes: four patients train, two validate.
_base_ = [
    '../_base_/models/hrnet_dcn_small.py',
    '../_base_/datasets/acdc.py',
    '../_base_/schedules/hdc_hrnet_150e.py',
    '../_base_/default_runtime.py',
]
split_file = '{{ fileDirname }}/splits/acdc_six_4_2.json'
crop_size = (160, 160)
model = dict(
    data_preprocessor=dict(size=crop_size),
    backbone=dict(stem='standard'),
    decode_head=dict(loss_decode=dict(class_weight=(0.1, 1.5, 1.5, 1.0), edge_mode='fixed')),
)
# So few hearts have to stand for all: they are turned, scaled and stretched more than in acdc.py.
train_pipeline = [
    _base_.train_slice,
    dict(
        type='RandomAffineVolume',
        degrees=40.0,
        scales=(0.7, 1.4),
        prob=0.8,
        elastic_prob=0.3,
        pad_val=-1.0,
    ),
    dict(type='RandomPatch', patch_size=crop_size, foreground_prob=0.5, pad_val=-1.0),
    dict(type='RandomFlipVolume', axes=(0, 1), prob=0.5),
    dict(type='RandomIntensity', contrast=0.4, brightness=0.4, prob=0.8),
    dict(type='PackSliceInputs'),
]
train_dataloader = dict(
    batch_size=4,
    num_workers=1,
    sampler=dict(type='SeededInfiniteSampler'),
    dataset=dict(split_file=split_file, pipeline=train_pipeline),
)
val_dataloader = dict(num_workers=1, dataset=dict(split_file=split_file))
test_dataloader = dict(num_workers=1, dataset=dict(split='val', split_file=split_file))
max_iters = 3600
optim_wrapper = dict(
    type='BFloat16OptimWrapper', optimizer=dict(lr=1e-3, weight_decay=0.01), clip_grad=dict(max_norm=1.0)
)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.02, begin=0, end=50, by_epoch=False),
    dict(type='PolyLR', power=0.9, eta_min=0.0, begin=0, end=max_iters, by_epoch=False),
]
train_cfg = dict(_delete_=True, type='IterBasedTrainLoop', max_iters=max_iters, val_interval=600)
default_hooks = dict(
    logger=dict(log_metric_by_epoch=False),
    checkpoint=dict(by_epoch=False, interval=600),
)
custom_hooks = [
    dict(type='EMAHook', ema_type='MomentumAnnealingEMA', momentum=0.001, gamma=10),
    # twenty steps of four slices are one time through the eighty of the training
    dict(type='LossEpochHook', iters_per_epoch=20),
]
randomness = dict(seed=0)
