# Aggregation: the map gates the input of the attention, as the paper draws it.
_base_ = '../idrid.py'
model = dict(backbone=dict(gate_input='module_input'))
