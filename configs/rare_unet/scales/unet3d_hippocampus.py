# The same for the baseline: the coarse image is brought back to its size, or with
# --cfg-options test_dataloader.dataset.pipeline.4.mode=pad put into the middle of zeros.
_base_ = '../unet3d_hippocampus.py'
test_pipeline = [
    _base_.image,
    _base_.labels,
    *_base_.grid,
    dict(type='SimulateScale', level=1, mode='upsample', compat=False),
    _base_.intensity,
    _base_.pack,
]
test_dataloader = dict(dataset=dict(pipeline=test_pipeline))
