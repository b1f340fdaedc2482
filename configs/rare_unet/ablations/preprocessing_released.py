# Percentiles of all modalities together, over the zeros put around as well.
_base_ = '../hippocampus.py'
prepare = [
    *_base_.grid,
    dict(type='CropOrPadVolume', size=_base_.target_size),
    dict(type='NormalizeIntensity', mode='percentile', percentiles=(0.5, 99.5), pooled=True),
]
train_pipeline = [_base_.image, _base_.labels, *prepare, _base_.pack]
test_pipeline = [_base_.image, *prepare, _base_.labels, _base_.pack]
predict_pipeline = test_pipeline
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = dict(dataset=dict(pipeline=test_pipeline))
