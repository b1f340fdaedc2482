# The published evaluation: images are cut to the size of the network first, reduced without averaging, labels by the
# first voxel of each block. For the network of ablations/preprocessing_released.py.
_base_ = '../ablations/preprocessing_released.py'
test_pipeline = [
    _base_.image,
    _base_.labels,
    *_base_.grid,
    dict(type='CropOrPadVolume', size=_base_.target_size),
    dict(type='SimulateScale', level=1, compat=True),
    dict(type='NormalizeIntensity', mode='percentile', percentiles=(0.5, 99.5), pooled=True),
    _base_.pack,
]
test_dataloader = dict(dataset=dict(pipeline=test_pipeline))
