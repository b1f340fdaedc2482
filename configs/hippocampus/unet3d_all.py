# The network of data/models/hippocampus: it learns from all 208 labelled images, so that none is left to choose or to
# score by. What it reaches is estimated by unet3d_cpu.py.
_base_ = './unet3d_cpu.py'
train_dataloader = dict(dataset=dict(split_file=None))
# the images are all of 1 mm; others are brought to it
predict_pipeline = [
    *_base_.test_pipeline[:2],
    dict(type='ResampleVolume', spacing_mm=(1.0, 1.0, 1.0)),
    *_base_.test_pipeline[2:],
]
val_dataloader, val_cfg, val_evaluator = None, None, None
test_dataloader, test_cfg, test_evaluator = None, None, None
default_hooks = dict(checkpoint=dict(save_best=None))
