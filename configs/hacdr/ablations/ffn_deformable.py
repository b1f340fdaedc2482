# Feed-forward: the 3x3 depth-wise convolution is deformable.
_base_ = '../idrid.py'
model = dict(backbone=dict(ffn_deformable=True))
