# Blocks, two in each stage: deformable, at a third of the depth, without dilations.
_base_ = '../acdc.py'
model = dict(backbone=dict(blocks=(('dcn',) * 2,) * 3))
