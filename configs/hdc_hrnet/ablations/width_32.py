# Width: C = 32.
_base_ = '../acdc.py'
model = dict(backbone=dict(base_channels=32), decode_head=dict(in_channels=(32, 64, 128, 256)))
