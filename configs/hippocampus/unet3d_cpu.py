# The 3D network without an implicit head for one CPU core and half an hour: more steps than unet3d_none_cpu.py,
# cases also turned and scaled.
_base_ = './unet3d_none_cpu.py'
max_iters = 4500
param_scheduler = [_base_.param_scheduler[0], dict(_base_.param_scheduler[1], end=max_iters)]
train_cfg = dict(max_iters=max_iters, val_interval=max_iters)
train_pipeline = [
    *_base_.train_pipeline[:5],
    dict(type='RandomAffineVolume', degrees=15, scales=(0.87, 1.15), prob=0.5),
    *_base_.train_pipeline[5:],
]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
tta_cfg = dict(mirror_axes=(0,))
