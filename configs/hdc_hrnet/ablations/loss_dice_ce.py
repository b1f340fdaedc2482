# Loss: cross entropy and Dice, of which every class counts the same.
_base_ = '../acdc.py'
model = dict(
    decode_head=dict(loss_decode=dict(_delete_=True, type='DiceCELoss', pooled=False, include_background=True))
)
custom_hooks = []  # nothing depends on the epoch
