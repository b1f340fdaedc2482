# Loss: cross entropy alone, of which every pixel counts the same.
_base_ = '../acdc.py'
model = dict(decode_head=dict(loss_decode=dict(_delete_=True, type='DiceCELoss', dice_weight=0.0)))
custom_hooks = []  # nothing depends on the epoch
