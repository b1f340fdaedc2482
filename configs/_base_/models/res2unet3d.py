# 3D-Res2UNet as replicated, 4.8 M parameters; mode='sigmoid' makes it one channel. The loss is ours, the replication's
# is dict(type='SoftDiceLoss', include_background=True). Axes are x, y, z.
model = dict(
    type='VolumeSegmentor',
    data_preprocessor=dict(type='VolumeDataPreProcessor', size_divisor=16),
    backbone=dict(type='Res2UNet3D', in_channels=1, base_channels=32),
    decode_head=dict(
        type='BinaryVolumeHead',
        mode='softmax',
        in_channels=32,
        loss_decode=dict(type='DiceCELoss', include_background=False),
    ),
    train_cfg=dict(),
    test_cfg=dict(mode='slide', window=(128, 128, 64), overlap=0.5, window_weights='gaussian'),
    channels_last=True,
)
