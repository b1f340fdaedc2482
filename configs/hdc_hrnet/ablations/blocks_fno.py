# Blocks, two in each stage: Fourier neural operator.
_base_ = '../acdc.py'
model = dict(backbone=dict(blocks=(('fno',) * 2,) * 3))
