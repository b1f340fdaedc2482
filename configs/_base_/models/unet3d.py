# A plain 3D U-Net: class defaults, four divisions, 16.5 M parameters.
channels = (32, 64, 128, 256, 320)
num_classes = 3
model = dict(
    type='VolumeSegmentor',
    data_preprocessor=dict(type='VolumeDataPreProcessor'),
    backbone=dict(type='MedicalUNet', in_channels=1, channels=channels),
    decode_head=dict(
        type='VolumeHead',
        in_channels=channels[0],
        num_classes=num_classes,
        loss_decode=dict(type='DiceCELoss'),
    ),
    train_cfg=dict(),
    test_cfg=dict(mode='whole'),
)
