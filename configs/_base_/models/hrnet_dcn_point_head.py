# PointRend as published (Kirillov et al., CVPR 2020): mmseg's cascade with a loss of the points, on HDC-HRNet.
_base_ = './hrnet_dcn.py'
streams = (48, 96, 192, 384)
model = dict(
    type='MedicalCascadeEncoderDecoder',
    num_stages=2,
    decode_head=[
        dict(
            type='AggregateHead',
            in_channels=streams,
            num_classes=4,
            supervision_weights=(0.4, 0.3, 0.2, 0.1),
            loss_decode=dict(type='HDCHRNetLoss'),
        ),
        dict(
            type='PointHead',
            in_channels=streams,
            in_index=(0, 1, 2, 3),
            channels=128,
            num_fcs=2,
            num_classes=4,
            dropout_ratio=0,
            loss_decode=dict(type='CrossEntropyLoss', avg_non_ignore=True),
        ),
    ],
    train_cfg=dict(num_points=1024, oversample_ratio=3, importance_sample_ratio=0.75),
    # one step on the finest stream, which has the size of the image; 2 and 2 with the standard stem
    test_cfg=dict(mode='whole', subdivision_steps=1, subdivision_num_points=8192, scale_factor=1),
)
