# Half as wide again.
_base_ = '../luna16.py'
model = dict(backbone=dict(base_channels=48), decode_head=dict(in_channels=48))
