# Half as wide.
_base_ = '../luna16.py'
model = dict(backbone=dict(base_channels=16), decode_head=dict(in_channels=16))
