# HDC-HRNet's recipe on ACDC: gradients are clipped; every epoch is validated, the best is kept by each of three
# numbers, and training stops when none of them gets better.
_base_ = './hdc_hrnet_150e.py'
best = dict(dice='greater', hd95='less', balanced='greater')
optim_wrapper = dict(clip_grad=dict(max_norm=1.0))
train_cfg = dict(val_interval=1)
default_hooks = dict(
    checkpoint=dict(interval=1, save_best=list(best), rule=list(best.values())),
    early_stopping=dict(type='NoNewBestHook', monitors=best, patience=30),
)
