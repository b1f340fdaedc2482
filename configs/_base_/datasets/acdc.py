# ACDC: short-axis cine MRI, 100 + 50 patients, end-diastole and end-systole. Slices at 1.5 mm, intensities scaled by
# the whole volume; training sees patches of 224 x 224, tests whole slices, scored as volumes on the grid of the file.
dataset_type = 'ACDCDataset'
data_root = 'data/ACDC'
split_file = '{{ fileDirname }}/../../hdc_hrnet/splits/acdc_80_20.json'
store_dir = 'work_dirs/slices'
num_classes = 4
crop_size = (224, 224)
image = dict(type='LoadCase', num_channels=1)
labels = dict(type='LoadCaseAnnotations', num_classes=num_classes)
prepare = [
    dict(type='NormalizeIntensity', mode='zscore', percentiles=(0.5, 99.5)),
    dict(type='ResampleInPlane', spacing_mm=1.5),
]
# one channel, three times, as networks that were made for colours take it
train_slice = dict(type='LoadSlice', pipeline=[image, labels, *prepare], store_dir=store_dir, copies=3)
test_slice = dict(type='LoadSlice', pipeline=[image, *prepare, labels], store_dir=store_dir, copies=3)
augment = [
    # -1 is about black in a z-scored MR image
    dict(
        type='RandomAffineVolume',
        degrees=15.0,
        scales=(0.85, 1.15),
        shift=20.0,
        prob=0.5,
        elastic_prob=0.3,
        pad_val=-1.0,
    ),
    dict(type='RandomFlipVolume', axes=(0, 1), prob=0.5),
    dict(type='RandomIntensity'),
]
train_pipeline = [
    train_slice,
    dict(type='RandomPatch', patch_size=crop_size, foreground_prob=0.5, pad_val=-1.0),
    *augment,
    dict(type='PackSliceInputs'),
]
test_pipeline = [test_slice, dict(type='PackSliceInputs')]
train_dataloader = dict(
    batch_size=8,
    num_workers=4,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=True),
    dataset=dict(type=dataset_type, data_root=data_root, split='train', split_file=split_file, pipeline=train_pipeline),
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
        split_file=split_file,
        test_mode=True,
        pipeline=test_pipeline,
    ),
)
test_dataloader = dict(
    batch_size=1,
    num_workers=2,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(type=dataset_type, data_root=data_root, split='test', test_mode=True, pipeline=test_pipeline),
)

val_evaluator = dict(type='BalancedSliceMetric', surface='voxel')
test_evaluator = dict(type='SliceSegMetric', tolerances=(1.0, 2.0))
# with --tta: the mirrored slices that training saw too; quarter_turns=True adds those that it did not
tta_cfg = dict(mirror_axes=(0, 1))
