# Aggregation: the sum of the branches, no 1x1 convolution, no gate.
_base_ = '../idrid.py'
model = dict(backbone=dict(aggregation='sum'))
