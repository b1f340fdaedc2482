# Aggregation: without the last 1x1 convolution, which the paper does not draw.
_base_ = '../idrid.py'
model = dict(backbone=dict(project_out=False))
