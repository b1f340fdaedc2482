# The baseline of as many parameters: a residual 3D U-Net, everything else alike.
_base_ = [
    '../_base_/models/res_unet3d_lung.py',
    '../_base_/datasets/luna16.py',
    '../_base_/schedules/volumes_50k.py',
    '../_base_/default_runtime.py',
]
optim_wrapper = dict(type='AmpOptimWrapper', optimizer=dict(lr=3e-4, weight_decay=1e-5))
default_hooks = dict(checkpoint=dict(save_best='dice_scan'))
