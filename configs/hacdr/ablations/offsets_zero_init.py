# Initialisation: offset branches start at zero.
_base_ = '../idrid.py'
model = dict(backbone=dict(zero_init_offset=True))
