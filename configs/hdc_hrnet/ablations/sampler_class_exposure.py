# Sampler: half of the slices are drawn for a class that they show.
_base_ = '../acdc.py'
train_dataloader = dict(sampler=dict(_delete_=True, type='ClassExposureSampler', foreground_prob=0.5))
