# ACDC with the released preprocessing: every slice 224 x 224 whatever its millimetres, whole, without augmentation
# (there it is a flag, off at first). Patients still stay whole, and scores are those of the grid of the file, in mm.
_base_ = './acdc.py'
prepare = [_base_.prepare[0], dict(type='ResampleInPlane', size=(224, 224))]
train_slice = dict(_base_.train_slice, pipeline=[_base_.image, _base_.labels, *prepare])
test_slice = dict(_base_.test_slice, pipeline=[_base_.image, *prepare, _base_.labels])
train_pipeline = [train_slice, dict(type='PackSliceInputs')]
test_pipeline = [test_slice, dict(type='PackSliceInputs')]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = dict(dataset=dict(pipeline=test_pipeline))
