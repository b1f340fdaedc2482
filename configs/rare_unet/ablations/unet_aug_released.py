# UNet+Aug whose labels stay large where the image shrinks.
_base_ = '../unet_aug_hippocampus.py'
reduced = dict(type='RandomReducedScale', num_levels=3, labels_follow=False)
train_pipeline = [*_base_.train_pipeline[:-2], reduced, _base_.pack]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
