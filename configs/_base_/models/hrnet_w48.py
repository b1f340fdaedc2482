# HRNetV2-W48 (Sun et al. 2019, arXiv:1904.04514) as a backbone to put into a model:
# model = dict(backbone=dict(_delete_=True, **_base_.hrnet_w48))
hrnet_w48 = dict(
    type='HRNet',
    norm_cfg=dict(type='BN'),
    norm_eval=False,
    extra=dict(
        stage1=dict(num_modules=1, num_branches=1, block='BOTTLENECK', num_blocks=(4,), num_channels=(64,)),
        stage2=dict(num_modules=1, num_branches=2, block='BASIC', num_blocks=(4, 4), num_channels=(48, 96)),
        stage3=dict(num_modules=4, num_branches=3, block='BASIC', num_blocks=(4, 4, 4), num_channels=(48, 96, 192)),
        stage4=dict(
            num_modules=3, num_branches=4, block='BASIC', num_blocks=(4, 4, 4, 4), num_channels=(48, 96, 192, 384)
        ),
    ),
)
