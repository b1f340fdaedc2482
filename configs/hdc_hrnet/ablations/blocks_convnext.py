# Blocks, two in each stage: ConvNeXt.
_base_ = '../acdc.py'
model = dict(backbone=dict(blocks=(('convnext',) * 2,) * 3))
