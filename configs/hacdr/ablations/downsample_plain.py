# Down-sampling: plain 3x3 convolutions of stride 2.
_base_ = '../idrid.py'
model = dict(backbone=dict(downsample='plain'))
