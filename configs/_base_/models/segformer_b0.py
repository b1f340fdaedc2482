# SegFormer-B0 (Xie et al. 2021, arXiv:2105.15203), from scratch.
model = dict(
    type='MedicalEncoderDecoder',
    # A background of 0 would stay 0 up to the layer norms, whose gradient there is 1 / sqrt(eps) each, up to infinity.
    data_preprocessor=dict(
        type='SegDataPreProcessor', size=(224, 224), mean=(1.0,), std=(1.0,), pad_val=0, seg_pad_val=255
    ),
    backbone=dict(
        type='MixVisionTransformer',
        in_channels=3,
        embed_dims=32,
        num_stages=4,
        num_layers=(2, 2, 2, 2),
        num_heads=(1, 2, 5, 8),
        patch_sizes=(7, 3, 3, 3),
        sr_ratios=(8, 4, 2, 1),
        out_indices=(0, 1, 2, 3),
        mlp_ratio=4,
        qkv_bias=True,
        drop_path_rate=0.1,
    ),
    decode_head=dict(
        type='SegformerHead',
        in_channels=(32, 64, 160, 256),
        in_index=(0, 1, 2, 3),
        channels=256,
        dropout_ratio=0.1,
        num_classes=4,
        norm_cfg=dict(type='BN'),
        align_corners=False,
        loss_decode=dict(type='DiceCELoss', pooled=False, include_background=True),
    ),
    train_cfg=dict(),
    test_cfg=dict(mode='whole'),
)
