_base_ = '../hippocampus.py'
model = dict(decode_head=dict(consistency_weight=0.0))
