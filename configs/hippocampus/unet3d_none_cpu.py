# The same without the implicit head: a 1x1 convolution classifies the maps of the decoder.
_base_ = './unet3d_inr_cpu.py'
model = dict(
    decode_head=dict(
        _delete_=True,
        type='VolumeHead',
        in_channels=16,
        num_classes=3,
        loss_decode=_base_.model.decode_head.loss_decode,
    ),
)
