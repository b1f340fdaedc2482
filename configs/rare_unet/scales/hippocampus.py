# Images as if taken at 1/2 of their resolution, scored on that grid, whole: nothing is cut before. For 1/4 and 1/8:
# --cfg-options test_dataloader.dataset.pipeline.4.level=2 (or 3). The level is found by the spacing.
_base_ = '../hippocampus.py'
test_pipeline = [
    _base_.image,
    _base_.labels,
    *_base_.grid,
    dict(type='SimulateScale', level=1, compat=False),
    _base_.intensity,
    _base_.pack,
]
test_dataloader = dict(dataset=dict(pipeline=test_pipeline))
