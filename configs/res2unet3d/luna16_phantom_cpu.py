# Phantoms on two CPU cores in twenty minutes: half as wide, small patches, more of them around nodules, and a Dice of
# each patch by itself, without which the nodules of 3 to 6 mm are not worth finding.
_base_ = './luna16.py'
patch_size = (64, 64, 32)
model = dict(
    backbone=dict(base_channels=16),
    decode_head=dict(in_channels=16, loss_decode=dict(pooled=False)),
    test_cfg=dict(window=patch_size, precision='bfloat16'),
)
patch = dict(_base_.train_pipeline[0].patch, patch_size=patch_size, nodule_prob=0.7)
train_pipeline = [
    dict(_base_.train_pipeline[0], patch=patch),
    *_base_.train_pipeline[1:],
]
phantoms = dict(data_root='data/LUNA16-phantom', mask_source='mask_dir', mask_root='masks')
train_dataloader = dict(batch_size=2, num_workers=1, dataset=dict(**phantoms, pipeline=train_pipeline))
val_dataloader = dict(num_workers=1, dataset=phantoms)
test_dataloader = dict(num_workers=1, dataset=phantoms)

max_iters = 2200
optim_wrapper = dict(type='BFloat16OptimWrapper', optimizer=dict(lr=2e-3))
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, begin=0, end=50, by_epoch=False),
    dict(type='PolyLR', power=0.9, eta_min=0.0, begin=0, end=max_iters, by_epoch=False),
]
train_cfg = dict(max_iters=max_iters, val_interval=1100)
default_hooks = dict(checkpoint=dict(interval=1100))
