# Input: cut to the field of view and stretched to 1280 x 1280, as the original's offline step does.
_base_ = '../idrid.py'
scale = (1280, 1280)
field_of_view = [dict(type='LoadFundusImage'), dict(type='FieldOfView', mode='crop_resize', size=scale)]
train_pipeline = [
    *field_of_view,
    dict(type='RandomResize', scale=scale, ratio_range=(0.5, 2.0), keep_ratio=True),
    dict(type='LoadLesionAnnotations'),
    dict(type='CountedRandomCrop', crop_size=scale, cat_max_ratio=0.75),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PhotoMetricDistortion'),
    dict(type='PackLesionInputs'),
]
label_and_pack = [
    dict(type='LoadLesionAnnotations', grid='native'),
    dict(type='PackLesionInputs', label_dtype='uint8'),
]
views = _base_.tta_pipeline[0]['transforms'][1]
test_pipeline = [*field_of_view, *label_and_pack]
tta_pipeline = [*field_of_view, dict(type='TestTimeAug', transforms=[views, *([step] for step in label_and_pack)])]
model = dict(data_preprocessor=dict(size=scale))
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader
