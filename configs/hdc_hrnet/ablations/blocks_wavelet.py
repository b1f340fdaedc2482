# Blocks, two in each stage: convolutions of the Haar bands.
_base_ = '../acdc.py'
model = dict(backbone=dict(blocks=(('wavelet',) * 2,) * 3))
