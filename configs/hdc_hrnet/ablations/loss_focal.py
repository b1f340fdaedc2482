# Loss: with a focal term, on which the released code fails.
_base_ = '../acdc.py'
model = dict(decode_head=dict(loss_decode=dict(focal_weight=1.0)))
