# The light variant with sine layers, three divisions: 1,402,727 parameters.
_base_ = './hippocampus_unet3d.py'
base_channels = 16
model = dict(
    backbone=dict(channels=[base_channels * 2**i for i in range(4)]),
    decode_head=dict(
        type='ImplicitVolumeHead',
        in_channels=base_channels,
        projection=4,
        implicit=dict(type='SirenHead', hidden=32, layers=2),
    ),
)
