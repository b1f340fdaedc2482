# Dice of the nodules alone.
_base_ = '../luna16.py'
model = dict(decode_head=dict(loss_decode=dict(_delete_=True, type='SoftDiceLoss')))
