# Loss: the boundary term counts at edges; as released it is twice the cross entropy of every pixel.
_base_ = '../acdc.py'
model = dict(decode_head=dict(loss_decode=dict(edge_mode='fixed')))
