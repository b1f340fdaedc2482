# The baseline that has seen reduced images; of those put in the middle of zeros the labels shrink too.
_base_ = './unet3d_brain_tumour.py'
train_pipeline = [*_base_.train_pipeline[:-1], dict(type='RandomReducedScale', num_levels=3), _base_.pack]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
