# Implicit head: mixed with a decoder of Gabor functions that features modulate.
_base_ = '../acdc.py'
model = dict(decode_head=dict(implicit=dict(type='EnergyGatedGaborHead')))
