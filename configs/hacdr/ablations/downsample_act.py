# Down-sampling: GELU after each, as the paper draws it.
_base_ = '../idrid.py'
model = dict(backbone=dict(downsample_act=True))
