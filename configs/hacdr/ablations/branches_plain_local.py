# Branches: a plain depth-wise 5x5 convolution instead of the deformable one (D0).
_base_ = '../idrid.py'
model = dict(backbone=dict(local_deformable=False))
