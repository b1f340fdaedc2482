# Means over the levels instead of shares of the depth, labels around the centres of blocks.
_base_ = '../hippocampus.py'
model = dict(decode_head=dict(mode='corrected'))
