# RARE-UNet for two CPU cores and one hour: 6.2 M parameters, four divisions, whole images instead of cut ones, coarse
# images averaged over blocks, labels at their centres, and the losses as means over the levels.
_base_ = './unet3d_hippocampus_cpu.py'
channels = (16, 32, 64, 128, 256)
model = dict(
    type='RAREUNetSegmentor',
    backbone=dict(
        _delete_=True,
        type='RAREUNet',
        in_channels=1,
        channels=channels,
        target_size=_base_.patch_size,
        drop_rate=0.0,
        reduction='area',
        routing=dict(spacing_mm=(1.0, 1.0, 1.0)),
        unet=dict(decoder_depth=2, up_kernel=None),
    ),
    decode_head=dict(
        type='RAREUNetHead',
        mode='corrected',
        in_channels=channels[:4],
        num_divisions=len(channels) - 1,
        loss_decode=dict(type='DiceCELoss'),
    ),
)
max_iters = 5000
param_scheduler = [
    dict(type='LinearLR', start_factor=0.02, begin=0, end=50, by_epoch=False),
    dict(type='PolyLR', power=0.9, eta_min=0.0, begin=0, end=max_iters, by_epoch=False),
]
train_cfg = dict(max_iters=max_iters, val_interval=1250)
val_evaluator = dict(_delete_=True, type='MultiScaleSegMetric', num_scales=3)
default_hooks = dict(checkpoint=dict(interval=1250, save_best='dice_all_scales_avg'))
