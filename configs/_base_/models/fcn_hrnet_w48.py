# HRNetV2-W48 and a 1x1 head (Sun et al. 2019, arXiv:1904.04514), from scratch.
_base_ = './hrnet_w48.py'
model = dict(
    type='MedicalEncoderDecoder',
    data_preprocessor=dict(type='SegDataPreProcessor', size=(224, 224), pad_val=0, seg_pad_val=255),
    backbone=_base_.hrnet_w48,
    decode_head=dict(
        type='FCNHead',
        in_channels=(48, 96, 192, 384),
        in_index=(0, 1, 2, 3),
        channels=720,
        input_transform='resize_concat',
        kernel_size=1,
        num_convs=1,
        concat_input=False,
        dropout_ratio=-1,
        num_classes=4,
        norm_cfg=dict(type='BN'),
        align_corners=False,
        loss_decode=dict(type='DiceCELoss', pooled=False, include_background=True),
    ),
    train_cfg=dict(),
    test_cfg=dict(mode='whole'),
)
