# Head: a decoder of Gabor functions alone.
_base_ = '../acdc.py'
model = dict(decode_head=dict(type='ImplicitHead', implicit=dict(type='GaborHead')))
