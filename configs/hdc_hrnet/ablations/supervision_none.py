# Without deep supervision.
_base_ = '../acdc.py'
model = dict(decode_head=dict(supervision_weights=()))
