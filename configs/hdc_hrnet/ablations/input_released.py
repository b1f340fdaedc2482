# Input: as released, see acdc_released.py, but augmented.
_base_ = '../acdc_released.py'
train_pipeline = [_base_.train_slice, *_base_.augment, dict(type='PackSliceInputs')]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
