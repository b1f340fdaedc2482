# Branches: two strip lengths instead of three.
_base_ = '../idrid.py'
model = dict(backbone=dict(strip_kernels=(7, 11)))
