# Gates of four convolutions, as in the published brain-tumour checkpoints.
_base_ = '../hippocampus.py'
model = dict(backbone=dict(gate_depth=4))
