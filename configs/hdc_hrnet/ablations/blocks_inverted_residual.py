# Blocks, two in each stage: inverted residuals.
_base_ = '../acdc.py'
model = dict(backbone=dict(blocks=(('inverted_residual',) * 2,) * 3))
