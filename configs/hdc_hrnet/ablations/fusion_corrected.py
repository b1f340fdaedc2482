# The sibling with the fusion of HRNet; the released one strides the coarse streams before it enlarges them.
_base_ = '../acdc_resnet34_base.py'
model = dict(backbone=dict(fusion='corrected'))
