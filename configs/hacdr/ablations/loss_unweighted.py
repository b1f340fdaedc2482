# Loss: cross-entropy without class weights.
_base_ = '../idrid.py'
model = dict(decode_head=dict(loss_decode=dict(class_weight=None)))
