# With sine layers on coordinates and features, as it was trained: 12,707,243 parameters (the 7.8 M of the original's
# README are wrong). The U-Net is that of unet3d_none.py.
_base_ = './unet3d_none.py'
model = dict(
    decode_head=dict(type='ImplicitVolumeHead', projection=8, implicit=dict(type='SirenHead', hidden=48, layers=3))
)
