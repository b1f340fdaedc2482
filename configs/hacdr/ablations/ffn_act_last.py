# Feed-forward: GELU after the second 1x1 convolution, as the paper draws it.
_base_ = '../idrid.py'
model = dict(backbone=dict(ffn_act_last=True))
