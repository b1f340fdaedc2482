# Stem: the finest stream has a quarter of the image's size.
_base_ = '../acdc.py'
model = dict(backbone=dict(stem='standard'))
