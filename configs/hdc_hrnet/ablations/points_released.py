# Uncertain points are classified anew, as released: no loss of the points.
_base_ = '../acdc.py'
model = dict(decode_head=dict(type='PointRendHead'))
