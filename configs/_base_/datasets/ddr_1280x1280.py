# DDR at the scale of HACDR-Net's recipe. Sizes of the photographs differ: each is cut to its field of view and
# stretched to 1280 x 1280, as the original's offline step does; 'crop_resize_enhance' is its contrast-enhanced form.
dataset_type = 'DDRDataset'
data_root = 'data/DDR-dataset'
scale = (1280, 1280)
crop_size = (1280, 1280)

train_pipeline = [
    dict(type='LoadFundusImage'),
    dict(type='FieldOfView', mode='crop_resize', size=scale),
    dict(type='RandomResize', scale=scale, ratio_range=(0.5, 2.0), keep_ratio=True),
    dict(type='LoadLesionAnnotations'),
    dict(type='CountedRandomCrop', crop_size=crop_size, cat_max_ratio=0.75),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PhotoMetricDistortion'),
    dict(type='PackLesionInputs'),
]
# The label is loaded on the native grid: predictions are brought back to it before they are counted.
test_pipeline = [
    dict(type='LoadFundusImage'),
    dict(type='FieldOfView', mode='crop_resize', size=scale),
    dict(type='LoadLesionAnnotations', grid='native'),
    dict(type='PackLesionInputs', label_dtype='uint8'),
]
tta_pipeline = [
    dict(type='LoadFundusImage'),
    dict(type='FieldOfView', mode='crop_resize', size=scale),
    dict(
        type='TestTimeAug',
        transforms=[
            # more scales: [dict(type='Resize', scale=(1280, 1280)), dict(type='Resize', scale=(1600, 1600))],
            [
                dict(type='RandomFlip', prob=0.0),
                dict(type='RandomFlip', prob=1.0, direction='horizontal'),
                dict(type='RandomFlip', prob=1.0, direction='vertical'),
            ],
            [dict(type='LoadLesionAnnotations', grid='native')],
            [dict(type='PackLesionInputs', label_dtype='uint8')],
        ],
    ),
]

train_dataloader = dict(
    batch_size=1,
    num_workers=4,
    persistent_workers=True,
    sampler=dict(type='SeededInfiniteSampler', shuffle=True),
    dataset=dict(type=dataset_type, data_root=data_root, split='trainval', pipeline=train_pipeline),
)
# The published recipe trains on train + valid and picks its checkpoint on the test images. The honest protocol is
#   train_dataloader = dict(dataset=dict(split='train'))
#   val_dataloader = dict(dataset=dict(split='valid'))
val_dataloader = dict(
    batch_size=1,
    num_workers=4,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(type=dataset_type, data_root=data_root, split='test', test_mode=True, pipeline=test_pipeline),
)
test_dataloader = val_dataloader

val_evaluator = dict(type='MedicalSegMetric')
test_evaluator = val_evaluator
