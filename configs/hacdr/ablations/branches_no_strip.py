# Branches: without the strip convolutions (MLKCC).
_base_ = '../idrid.py'
model = dict(backbone=dict(strip_kernels=()))
