# The released sibling of HDC-HRNet, base: C = 64, ResNet-34's depths.
model = dict(
    type='MedicalEncoderDecoder',
    data_preprocessor=dict(type='SegDataPreProcessor', size=(224, 224), pad_val=0, seg_pad_val=255),
    backbone=dict(type='HRNetResNet34', in_channels=3),
    decode_head=dict(
        type='ProjectionHead',
        in_channels=(64, 128, 256, 512),
        num_classes=4,
        # the finest stream has no classifier of its own; the weights go to the others in order
        supervision_weights=(0, 0.4, 0.3, 0.2),
        loss_decode=dict(type='HDCHRNetLoss'),
    ),
    train_cfg=dict(),
    test_cfg=dict(mode='whole'),
)
# the loss depends on the epoch
custom_hooks = [dict(type='LossEpochHook')]
