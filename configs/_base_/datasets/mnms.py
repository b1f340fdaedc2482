# M&Ms: short-axis cine MRI of four vendors, series of four axes, labelled at end-diastole and end-systole. Slices at
# 1.5 mm, intensities scaled by the volume of each time; the release divides into training, validation and test.
dataset_type = 'MnMsDataset'
data_root = 'data/MnMs'
store_dir = 'work_dirs/slices'
num_classes = 4
crop_size = (224, 224)
image = dict(type='LoadCase', num_channels=1)
labels = dict(type='LoadCaseAnnotations', num_classes=num_classes)
prepare = [
    dict(type='NormalizeIntensity', mode='zscore', percentiles=(0.5, 99.5)),
    dict(type='ResampleInPlane', spacing_mm=1.5),
]
train_slice = dict(type='LoadSlice', pipeline=[image, labels, *prepare], store_dir=store_dir, copies=3)
test_slice = dict(type='LoadSlice', pipeline=[image, *prepare, labels], store_dir=store_dir, copies=3)
train_pipeline = [
    train_slice,
    # -1 is about black in a z-scored MR image
    dict(type='RandomPatch', patch_size=crop_size, foreground_prob=0.5, pad_val=-1.0),
    dict(type='PackSliceInputs'),
]
test_pipeline = [test_slice, dict(type='PackSliceInputs')]
train_dataloader = dict(
    batch_size=8,
    num_workers=4,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=True),
    dataset=dict(type=dataset_type, data_root=data_root, split='train', cache_dir=store_dir, pipeline=train_pipeline),
)
val_dataloader = dict(
    batch_size=1,
    num_workers=2,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type=dataset_type,
        data_root=data_root,
        split='val',
        cache_dir=store_dir,
        test_mode=True,
        pipeline=test_pipeline,
    ),
)
test_dataloader = dict(
    batch_size=1,
    num_workers=2,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type=dataset_type,
        data_root=data_root,
        split='test',
        cache_dir=store_dir,
        test_mode=True,
        pipeline=test_pipeline,
    ),
)

val_evaluator = dict(type='SliceSegMetric', surface=None)
test_evaluator = dict(type='SliceSegMetric', tolerances=(1.0, 2.0))
