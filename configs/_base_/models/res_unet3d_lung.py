# The baseline of as many parameters as 3D-Res2UNet: a residual 3D U-Net, everything else alike.
_base_ = './res2unet3d.py'
channels = (14, 28, 56, 112, 248)
model = dict(
    backbone=dict(
        _delete_=True,
        type='MedicalUNet',
        in_channels=1,
        channels=channels,
        block='residual',
        encoder_depth=1,
        decoder_depth=1,
        norm='batch',
        act='relu',
        bias=False,
    ),
    decode_head=dict(in_channels=channels[0]),
)
