# The trained 3D network, batch norm and ReLU, without its implicit head: 12,701,691 parameters.
base_channels = 24
num_classes = 3
model = dict(
    type='VolumeSegmentor',
    data_preprocessor=dict(type='VolumeDataPreProcessor'),
    backbone=dict(
        type='MedicalUNet',
        in_channels=1,
        channels=[base_channels * 2**i for i in range(5)],
        norm='batch',
        act='relu',
        bias=False,
    ),
    decode_head=dict(
        type='VolumeHead',
        in_channels=base_channels,
        num_classes=num_classes,
        loss_decode=[
            dict(type='SoftDiceLoss', pooled=False, smooth=1.0, loss_weight=0.5),
            dict(type='VoxelFocalLoss', gamma=2.0, loss_weight=0.5),
        ],
    ),
    train_cfg=dict(),
    test_cfg=dict(mode='whole'),
)
