# Trilinear interpolation and a 1x1 convolution instead of transposed convolutions.
_base_ = '../luna16.py'
model = dict(backbone=dict(up_mode='trilinear'))
