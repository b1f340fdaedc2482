# Input: a slice and its two neighbours instead of one slice three times.
_base_ = '../acdc.py'
train_slice = dict(_base_.train_slice, neighbours=1, copies=1)
test_pipeline = [dict(_base_.test_slice, neighbours=1, copies=1), *_base_.test_pipeline[1:]]
train_dataloader = dict(dataset=dict(pipeline=[train_slice, *_base_.train_pipeline[1:]]))
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = dict(dataset=dict(pipeline=test_pipeline))
