# The sibling of HDC-HRNet on ACDC, small: C = 32, depths 2, 3, 4, 2.
_base_ = './acdc_resnet34_base.py'
model = dict(backbone=dict(base_channels=32, depths=(2, 3, 4, 2)), decode_head=dict(in_channels=(32, 64, 128, 256)))
