# Blocks, two in each stage: attention within windows that shift.
_base_ = '../acdc.py'
model = dict(backbone=dict(blocks=(('swin_shifted',) * 2,) * 3))
