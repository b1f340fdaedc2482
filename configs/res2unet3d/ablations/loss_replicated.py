# The replication's loss: softmax Dice of both classes over the batch.
_base_ = '../luna16.py'
model = dict(decode_head=dict(loss_decode=dict(_delete_=True, type='SoftDiceLoss', include_background=True)))
