# The sibling of HDC-HRNet on ACDC, large: C = 64, depths 3, 4, 23, 3.
_base_ = './acdc_resnet34_base.py'
model = dict(backbone=dict(depths=(3, 4, 23, 3)))
