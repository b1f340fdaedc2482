# Native resolution: trained on windows of the full photograph, tested by windows over all of it.
_base_ = './idrid.py'
train_pipeline = [
    dict(type='LoadFundusImage'),
    dict(type='LoadLesionAnnotations'),
    dict(type='CountedRandomCrop', crop_size=_base_.crop_size, cat_max_ratio=0.75),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PhotoMetricDistortion'),
    dict(type='PackLesionInputs'),
]
test_pipeline = [dict(type='LoadFundusImage'), *_base_.test_pipeline[1:]]
tta_pipeline = [
    dict(
        type='TestTimeAug',
        transforms=[[dict(type='LoadFundusImage')], *_base_.tta_pipeline[0]['transforms'][1:]],
    )
]
model = dict(test_cfg=dict(mode='slide', crop_size=_base_.crop_size, stride=(640, 960), window_weights='gaussian'))
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader
