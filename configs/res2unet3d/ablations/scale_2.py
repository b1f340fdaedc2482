# Res2: two parts a block.
_base_ = '../luna16.py'
model = dict(backbone=dict(scale=2))
