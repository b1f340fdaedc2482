# Blocks, two in each stage: RWKV, linear attention over the raster.
_base_ = '../acdc.py'
model = dict(backbone=dict(blocks=(('rwkv',) * 2,) * 3))
