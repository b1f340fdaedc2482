# Input: as input_crop_resize.py, with the slow part of the illumination taken away.
_base_ = './input_crop_resize.py'
enhance = dict(type='FieldOfView', mode='crop_resize_enhance', size=_base_.scale)
train_pipeline = [_base_.train_pipeline[0], enhance, *_base_.train_pipeline[2:]]
test_pipeline = [_base_.test_pipeline[0], enhance, *_base_.test_pipeline[2:]]
tta_pipeline = [_base_.tta_pipeline[0], enhance, *_base_.tta_pipeline[2:]]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader
