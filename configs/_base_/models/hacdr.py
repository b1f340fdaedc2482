# HACDR-Net as released: class defaults are the published configuration.
norm_cfg = dict(type='BN')
model = dict(
    type='MedicalEncoderDecoder',
    data_preprocessor=dict(
        type='SegDataPreProcessor',
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
        bgr_to_rgb=True,
        pad_val=0,
        seg_pad_val=255,
        size=(960, 1440),
    ),
    backbone=dict(type='HACDRNet'),
    decode_head=dict(
        type='HACDRHead',
        in_channels=(32, 64, 160, 256),
        num_classes=5,
        norm_cfg=norm_cfg,
        loss_decode=dict(
            type='PixelMeanCrossEntropyLoss',
            class_weight=[0.5, 0.7, 1.5, 0.7, 1.1],
            loss_weight=1.0,
        ),
    ),
    train_cfg=dict(),
    test_cfg=dict(mode='whole'),
)
tta_model = dict(type='MedicalSegTTAModel')
