# The coordinate head of the 2D networks on the 3D one: no sine layers.
_base_ = './unet3d_inr_balanced.py'
model = dict(decode_head=dict(implicit=dict(_delete_=True, type='CoordinateHead', hidden=48)))
