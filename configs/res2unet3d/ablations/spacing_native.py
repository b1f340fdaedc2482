# Voxels as in the file, as in the replication.
_base_ = '../luna16.py'
grid = [step for step in _base_.grid if step.type != 'ResampleVolume']
load = [*_base_.load[:2], *grid]
train_pipeline = [dict(_base_.train_pipeline[0], pipeline=load), *_base_.train_pipeline[1:]]
test_pipeline = [_base_.test_pipeline[0], *grid, *_base_.test_pipeline[-2:]]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = dict(dataset=dict(pipeline=test_pipeline))
