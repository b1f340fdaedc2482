# Without squeeze and excitation.
_base_ = '../luna16.py'
model = dict(backbone=dict(se=False))
