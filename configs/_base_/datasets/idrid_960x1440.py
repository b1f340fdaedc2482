# IDRiD at the scale of HACDR-Net's recipe: 4288 x 2848 comes in as 1440 x 956, crops are 1440 x 960.
dataset_type = 'IDRiDDataset'
data_root = 'data/IDRiD'
scale = (1440, 960)
crop_size = (960, 1440)

train_pipeline = [
    dict(type='LoadFundusImage', scale=scale, ratio_range=(0.5, 2.0)),
    dict(type='LoadLesionAnnotations'),
    dict(type='CountedRandomCrop', crop_size=crop_size, cat_max_ratio=0.75),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PhotoMetricDistortion'),
    dict(type='PackLesionInputs'),
]
# The label is loaded on the native grid: predictions are brought back to it before they are counted.
test_pipeline = [
    dict(type='LoadFundusImage', scale=scale),
    dict(type='LoadLesionAnnotations', grid='native'),
    dict(type='PackLesionInputs', label_dtype='uint8'),
]
# More scales: add dict(type='LoadFundusImage', scale=(1800, 1200)) and the like to the first list.
tta_pipeline = [
    dict(
        type='TestTimeAug',
        transforms=[
            [dict(type='LoadFundusImage', scale=scale)],
            [
                dict(type='RandomFlip', prob=0.0),
                dict(type='RandomFlip', prob=1.0, direction='horizontal'),
                dict(type='RandomFlip', prob=1.0, direction='vertical'),
            ],
            [dict(type='LoadLesionAnnotations', grid='native')],
            [dict(type='PackLesionInputs', label_dtype='uint8')],
        ],
    )
]

train_dataloader = dict(
    batch_size=1,
    num_workers=4,
    persistent_workers=True,
    sampler=dict(type='SeededInfiniteSampler', shuffle=True),
    dataset=dict(type=dataset_type, data_root=data_root, split='train', pipeline=train_pipeline),
)
# IDRiD has no validation images, and the recipe picks its checkpoint on the test images: numbers chosen that way are
# optimistic. The honest way holds nine training images out:
#   split_file = '{{ fileDirname }}/splits/idrid_train45_val9.json'
#   train_dataloader = dict(dataset=dict(split='train', split_file=split_file))
#   val_dataloader = dict(dataset=dict(split='val', split_file=split_file))
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
