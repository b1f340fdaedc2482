# Dilation: none.
_base_ = '../acdc.py'
model = dict(backbone=dict(dilation_mode='none'))
