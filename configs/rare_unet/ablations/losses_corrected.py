# Means over the levels instead of shares of the depth, the most frequent label of each block.
_base_ = '../hippocampus.py'
model = dict(decode_head=dict(mode='corrected'))
