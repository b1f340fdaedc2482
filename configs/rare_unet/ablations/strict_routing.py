_base_ = '../hippocampus.py'
model = dict(backbone=dict(routing=dict(strict=True, spacing_mm=None)))
predict_pipeline = _base_.test_pipeline
