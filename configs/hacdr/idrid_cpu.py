# The recipe cut down to what two CPU cores train in half an hour: a narrower and shallower network, small
# windows that look for lesions, a larger step. 45 of the 54 training images train, 9 are held out.
_base_ = './idrid.py'
crop_size = (256, 256)
embed_dims = (16, 32, 80, 128)
split_file = '{{ fileDirname }}/splits/idrid_train45_val9.json'

model = dict(
    data_preprocessor=dict(size=crop_size),
    backbone=dict(embed_dims=embed_dims, depths=(1, 1, 2, 1), drop_rate=0.0, drop_path_rate=0.0, zero_init_offset=True),
    decode_head=dict(
        in_channels=embed_dims,
        channels=16,
        dropout_ratio=0.0,
        loss_decode=dict(class_weight=[0.1, 1.0, 3.0, 2.0, 1.0]),
    ),
)
# No photometric distortion: in runs this short the network then hardly leaves the background behind.
train_pipeline = [
    dict(type='LoadFundusImage', scale=_base_.scale, ratio_range=(0.75, 1.4)),
    dict(type='LoadLesionAnnotations'),
    dict(type='LesionCrop', crop_size=crop_size, lesion_prob=0.75),
    dict(type='RandomFlip', prob=[0.25, 0.25, 0.25], direction=['horizontal', 'vertical', 'diagonal']),
    dict(type='PackLesionInputs'),
]
train_dataloader = dict(
    batch_size=4,
    num_workers=1,
    dataset=dict(split='train', split_file=split_file, pipeline=train_pipeline),
)
val_dataloader = dict(num_workers=1, dataset=dict(split='val', split_file=split_file))
test_dataloader = val_dataloader

max_iters = 1800
optim_wrapper = dict(optimizer=dict(lr=2e-3), paramwise_cfg=dict(custom_keys=dict(head=dict(lr_mult=1.0))))
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, begin=0, end=100, by_epoch=False),
    dict(type='PolyLR', power=1.0, eta_min=0.0, begin=0, end=max_iters, by_epoch=False),
]
train_cfg = dict(max_iters=max_iters, val_interval=600)
default_hooks = dict(checkpoint=dict(interval=600, max_keep_ckpts=1))
randomness = dict(seed=0)
