# RARE-UNet for two CPU cores and one hour: 6.2 M parameters, four divisions, whole images instead of cut ones, coarse
# images averaged over blocks, the most frequent label of each, and the losses as means over the levels. The patch has
# the published size, which every level can halve to the bottom without a rest.
_base_ = './unet3d_hippocampus_cpu.py'
channels = (16, 32, 64, 128, 256)
patch_size = (32, 64, 32)
model = dict(
    type='RAREUNetSegmentor',
    backbone=dict(
        _delete_=True,
        type='RAREUNet',
        in_channels=1,
        channels=channels,
        target_size=patch_size,
        drop_rate=0.1,
        reduction='area',
        coarse_noise=0.15,
        routing=dict(spacing_mm=(1.0, 1.0, 1.0)),
        unet=dict(decoder_depth=2, up_kernel=None),
    ),
    decode_head=dict(
        type='RAREUNetHead',
        mode='corrected',
        target_resize='area',
        in_channels=channels[:4],
        num_divisions=len(channels) - 1,
        loss_decode=dict(type='DiceCELoss'),
    ),
)
train_pipeline = [
    *_base_.load[:-1],
    dict(type='RandomBiasField', magnitude=0.3, prob=0.5),
    _base_.load[-1],
    dict(type='RandomAffineVolume', degrees=15, scales=(0.85, 1.15), prob=0.8, elastic_prob=0.3),
    dict(type='RandomPatch', patch_size=patch_size, foreground_prob=0.33),
    dict(type='RandomFlipVolume', axes=(0, 1, 2), prob=0.5),
    dict(type='PackVolumeInputs'),
]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
max_iters = 5600
param_scheduler = [
    dict(type='LinearLR', start_factor=0.02, begin=0, end=50, by_epoch=False),
    dict(type='PolyLR', power=0.9, eta_min=0.0, begin=0, end=max_iters, by_epoch=False),
]
train_cfg = dict(max_iters=max_iters, val_interval=1400)
val_evaluator = dict(_delete_=True, type='MultiScaleSegMetric', num_scales=3)
default_hooks = dict(checkpoint=dict(interval=1400, save_best='dice_all_scales_avg'))
