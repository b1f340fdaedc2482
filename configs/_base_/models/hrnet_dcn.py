# HDC-HRNet as it was trained by the released scripts: full resolution, C = 48, deep supervision, no point refinement.
model = dict(
    type='MedicalEncoderDecoder',
    data_preprocessor=dict(type='SegDataPreProcessor', size=(224, 224), pad_val=0, seg_pad_val=255),
    backbone=dict(type='HRNetDCN', in_channels=3, base_channels=48),
    decode_head=dict(
        type='AggregateHead',
        in_channels=(48, 96, 192, 384),
        num_classes=4,
        supervision_weights=(0.4, 0.3, 0.2, 0.1),
        loss_decode=dict(type='HDCHRNetLoss'),
    ),
    train_cfg=dict(),
    test_cfg=dict(mode='whole'),
)
# the loss depends on the epoch
custom_hooks = [dict(type='LossEpochHook')]
