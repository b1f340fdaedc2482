# With the coordinate head, a perceptron of one hidden layer: 7,765,923 parameters; other widths: 32, 48, 128, 256.
_base_ = './hippocampus_unet2d.py'
model = dict(decode_head=dict(type='ImplicitVolumeHead', implicit=dict(type='CoordinateHead', hidden=64)))
