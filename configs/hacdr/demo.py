# A narrow HACDR-Net on phantom photographs: shows within minutes, on two cores, that lesions are found. The recipe's
# learning rates and class weights are made for 40,000 iterations; these are made for 600.
_base_ = './idrid.py'
data_root = 'work_dirs/demo/data'
crop_size = (160, 160)
embed_dims = (16, 32, 64, 96)
iterations = 600

model = dict(
    data_preprocessor=dict(size=crop_size),
    backbone=dict(
        embed_dims=embed_dims,
        depths=(1, 1, 2, 1),
        ffn_ratios=(2, 2, 2, 2),
        drop_rate=0.0,
        drop_path_rate=0.0,
        zero_init_offset=True,
    ),
    decode_head=dict(
        in_channels=embed_dims,
        channels=16,
        dropout_ratio=0.0,
        loss_decode=dict(class_weight=[0.1, 1.0, 3.0, 2.0, 1.0]),
    ),
)
train_pipeline = [
    dict(type='LoadFundusImage'),
    dict(type='LoadLesionAnnotations'),
    dict(type='LesionCrop', crop_size=crop_size),
    dict(type='RandomFlip', prob=0.5, direction='horizontal'),
    dict(type='RandomFlip', prob=0.5, direction='vertical'),
    dict(type='PackLesionInputs'),
]
test_pipeline = [
    dict(type='LoadFundusImage'),
    dict(type='LoadLesionAnnotations', grid='native'),
    dict(type='PackLesionInputs'),
]
train_dataloader = dict(
    batch_size=4, num_workers=0, persistent_workers=False, dataset=dict(data_root=data_root, pipeline=train_pipeline)
)
test_dataloader = dict(
    num_workers=0, persistent_workers=False, dataset=dict(data_root=data_root, pipeline=test_pipeline)
)
# every training image is trained on, none is left to validate on
val_cfg = None
val_dataloader = None
val_evaluator = None

optim_wrapper = dict(optimizer=dict(lr=3e-3), paramwise_cfg=dict(custom_keys=dict(head=dict(lr_mult=5.0))))
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, begin=0, end=20, by_epoch=False),
    dict(type='PolyLR', power=1.0, eta_min=0.0, begin=0, end=iterations, by_epoch=False),
]
train_cfg = dict(_delete_=True, type='IterBasedTrainLoop', max_iters=iterations)
default_hooks = dict(
    logger=dict(interval=10),
    checkpoint=dict(_delete_=True, type='CheckpointHook', by_epoch=False, interval=200, max_keep_ckpts=1),
)
custom_hooks = [dict(type='ProgressHook')]
log_level = 'ERROR'
randomness = dict(seed=0)
