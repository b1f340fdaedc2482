# Loss: weighted cross entropy and Dice, without the boundary term.
_base_ = '../acdc.py'
model = dict(decode_head=dict(loss_decode=dict(edge_weight=0.0)))
