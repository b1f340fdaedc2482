# Loss: every class counts the same.
_base_ = '../acdc.py'
model = dict(decode_head=dict(loss_decode=dict(class_weight=None)))
