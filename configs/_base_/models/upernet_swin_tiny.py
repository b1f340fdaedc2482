# UPerNet (Xiao et al. 2018, arXiv:1807.10221) on Swin-T (Liu et al. 2021, arXiv:2103.14030), from scratch.
norm_cfg = dict(type='BN')
loss = dict(type='DiceCELoss', pooled=False, include_background=True)
model = dict(
    type='MedicalEncoderDecoder',
    # A background of 0 would stay 0 up to the layer norms, whose gradient there is 1 / sqrt(eps) each, up to infinity.
    data_preprocessor=dict(
        type='SegDataPreProcessor', size=(224, 224), mean=(1.0,), std=(1.0,), pad_val=0, seg_pad_val=255
    ),
    backbone=dict(
        type='SwinTransformer',
        pretrain_img_size=224,
        embed_dims=96,
        patch_size=4,
        window_size=7,
        mlp_ratio=4,
        depths=(2, 2, 6, 2),
        num_heads=(3, 6, 12, 24),
        strides=(4, 2, 2, 2),
        out_indices=(0, 1, 2, 3),
        drop_path_rate=0.3,
    ),
    decode_head=dict(
        type='UPerHead',
        in_channels=(96, 192, 384, 768),
        in_index=(0, 1, 2, 3),
        pool_scales=(1, 2, 3, 6),
        channels=512,
        dropout_ratio=0.1,
        num_classes=4,
        norm_cfg=norm_cfg,
        align_corners=False,
        loss_decode=loss,
    ),
    auxiliary_head=dict(
        type='FCNHead',
        in_channels=384,
        in_index=2,
        channels=256,
        num_convs=1,
        concat_input=False,
        dropout_ratio=0.1,
        num_classes=4,
        norm_cfg=norm_cfg,
        align_corners=False,
        loss_decode=dict(loss, loss_weight=0.4),
    ),
    train_cfg=dict(),
    test_cfg=dict(mode='whole'),
)
