# Res2: eight parts a block.
_base_ = '../luna16.py'
model = dict(backbone=dict(scale=8))
