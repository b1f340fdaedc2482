# The release's large network: C = 64 with point refinement.
_base_ = './hrnet_dcn.py'
model = dict(
    backbone=dict(base_channels=64),
    decode_head=dict(type='PointRendHead', in_channels=(64, 128, 256, 512)),
)
