# Dilation: 1, 2 in stage 2 too, as the README says; the code has 1, 1 there.
_base_ = '../acdc.py'
model = dict(backbone=dict(dilation_mode='readme'))
