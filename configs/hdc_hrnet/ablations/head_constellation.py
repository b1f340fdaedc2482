# Head: classes are points of the unit circle.
_base_ = '../acdc.py'
model = dict(decode_head=dict(type='ConstellationHead'))
