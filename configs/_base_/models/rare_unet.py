# RARE-UNet as released: class defaults are the published configuration.
num_classes = 3
target_size = (32, 64, 32)
model = dict(
    type='RAREUNetSegmentor',
    data_preprocessor=dict(type='VolumeDataPreProcessor'),
    backbone=dict(type='RAREUNet', in_channels=1, target_size=target_size),
    decode_head=dict(type='RAREUNetHead', num_classes=num_classes),
    train_cfg=dict(),
    test_cfg=dict(mode='whole'),
)
