# 1,402,727 parameters, three divisions.
_base_ = './unet3d_inr_balanced.py'
base_channels = 16
model = dict(
    backbone=dict(channels=[base_channels * 2**i for i in range(4)]),
    decode_head=dict(in_channels=base_channels, projection=4, implicit=dict(hidden=32, layers=2)),
)
