# Aggregation: the sum and a 1x1 convolution, no gate.
_base_ = '../idrid.py'
model = dict(backbone=dict(aggregation='project'))
