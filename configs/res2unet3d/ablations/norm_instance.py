# Instance norm, which batches of one or two patches do not disturb.
_base_ = '../luna16.py'
model = dict(backbone=dict(norm='instance'))
