# Down-sampling: one offset group instead of two.
_base_ = '../idrid.py'
model = dict(backbone=dict(downsample_deform_groups=1))
