# Phantoms on two CPU cores in twenty minutes: half as wide, small patches, 1.5 mm.
_base_ = './luna16.py'
patch_size = (64, 64, 32)
spacing_mm = (1.5, 1.5, 1.5)
grid = [
    *_base_.grid[:3],
    dict(type='ResampleVolume', spacing_mm=spacing_mm),
    _base_.window,
]
load = [*_base_.load[:2], *grid]
model = dict(
    backbone=dict(base_channels=16),
    decode_head=dict(in_channels=16),
    test_cfg=dict(window=patch_size, precision='bfloat16'),
)
patch = dict(_base_.train_pipeline[0].patch, patch_size=patch_size)
train_pipeline = [
    dict(_base_.train_pipeline[0], pipeline=load, patch=patch),
    *_base_.train_pipeline[1:],
]
test_pipeline = [_base_.test_pipeline[0], *grid, *_base_.test_pipeline[-2:]]
phantoms = dict(data_root='data/LUNA16-phantom', mask_source='mask_dir', mask_root='masks')
train_dataloader = dict(batch_size=2, num_workers=1, dataset=dict(**phantoms, pipeline=train_pipeline))
val_dataloader = dict(num_workers=1, dataset=dict(**phantoms, pipeline=test_pipeline))
test_dataloader = dict(num_workers=1, dataset=dict(**phantoms, pipeline=test_pipeline))

max_iters = 2000
optim_wrapper = dict(type='BFloat16OptimWrapper', optimizer=dict(lr=2e-3))
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, begin=0, end=50, by_epoch=False),
    dict(type='PolyLR', power=0.9, eta_min=0.0, begin=0, end=max_iters, by_epoch=False),
]
train_cfg = dict(max_iters=max_iters, val_interval=1000)
default_hooks = dict(checkpoint=dict(interval=1000))
