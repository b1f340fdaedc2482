# Blocks, 2, 4 and 6: inverted residuals and deformable ones in turn; these have the dilations of their place.
_base_ = '../acdc.py'
pair = ('inverted_residual', 'dcn')
model = dict(backbone=dict(blocks=(pair, pair * 2, pair * 3)))
