# 3D-Res2UNet on LUNA16, subset 0 held out; another one: --cfg-options fold=3. The recipe is this project's, none is
# published: 50,000 steps of four patches are 200 epochs of 250.
_base_ = [
    '../_base_/models/res2unet3d.py',
    '../_base_/datasets/luna16.py',
    '../_base_/schedules/volumes_50k.py',
    '../_base_/default_runtime.py',
]
optim_wrapper = dict(type='AmpOptimWrapper', optimizer=dict(lr=3e-4, weight_decay=1e-5))
default_hooks = dict(checkpoint=dict(save_best='dice_scan'))
