# The 2D network of all published 2D results: instance norm, leaky ReLU, 7,763,587 parameters. Behind the decoder comes
# a 1x1 convolution in front of the classifier.
base_channels = 32
num_classes = 3
model = dict(
    type='VolumeSegmentor',
    data_preprocessor=dict(type='VolumeDataPreProcessor'),
    backbone=dict(
        type='MedicalUNet',
        in_channels=1,
        channels=[base_channels * 2**i for i in range(5)],
        spatial_dims=2,
        bias=False,
    ),
    decode_head=dict(
        type='VolumeHead',
        in_channels=base_channels,
        num_classes=num_classes,
        spatial_dims=2,
        projection=base_channels,
        loss_decode=[
            dict(type='SoftDiceLoss', pooled=False, smooth=1.0, loss_weight=0.5),
            dict(type='VoxelFocalLoss', gamma=2.0, loss_weight=0.5),
        ],
    ),
    train_cfg=dict(),
    test_cfg=dict(mode='whole'),
)
