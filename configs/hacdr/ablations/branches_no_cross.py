# Branches: without the deformable cross convolution (DCC).
_base_ = '../idrid.py'
model = dict(backbone=dict(cross_deformable=False))
