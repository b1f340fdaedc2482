# The network of data/models/hippocampus: it learns from all 208 labelled images, so that none is left to choose or to
# score by. What it reaches is estimated by unet3d_hippocampus_cpu.py.
_base_ = './unet3d_hippocampus_cpu.py'
train_dataloader = dict(dataset=dict(split_file=None))
val_dataloader = None
val_cfg = None
val_evaluator = None
default_hooks = dict(checkpoint=dict(save_best=None))
