# Branches: strip convolutions and the optional near-far-aware branch, no cross convolution (figure 3 of the paper).
_base_ = '../idrid.py'
model = dict(backbone=dict(cross_deformable=False, optional_kernel=7))
