# Width: C = 64.
_base_ = '../acdc.py'
model = dict(backbone=dict(base_channels=64), decode_head=dict(in_channels=(64, 128, 256, 512)))
