# Implicit head: mixed with a decoder of Gabor functions.
_base_ = '../acdc.py'
model = dict(decode_head=dict(implicit=dict(type='GaborHead')))
