# Features pass differences of Gaussians.
_base_ = '../acdc.py'
model = dict(decode_head=dict(refine=dict(type='RetinalLayer', out_channels=15 * 48)))
