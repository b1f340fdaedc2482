# Blocks, two in each stage: attention within windows, which never shift, as released.
_base_ = '../acdc.py'
model = dict(backbone=dict(blocks=(('swin',) * 2,) * 3))
