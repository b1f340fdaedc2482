# 22,588,175 parameters.
_base_ = './unet3d_inr_balanced.py'
base_channels = 32
model = dict(
    backbone=dict(channels=[base_channels * 2**i for i in range(5)]),
    decode_head=dict(in_channels=base_channels, projection=12, implicit=dict(hidden=64)),
)
