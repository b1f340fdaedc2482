# Blocks, two in each stage: residual blocks of two 3x3 convolutions.
_base_ = '../acdc.py'
model = dict(backbone=dict(blocks=(('basic',) * 2,) * 3))
