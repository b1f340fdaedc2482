# The second 2D grid search of the original: 6 runs, with unet2d_none.py.
_base_ = './grid2d.py'
parameters = dict(base_channels=[32, 48], use_inr=[True], inr_hidden_dim=[64, 128, 256])
