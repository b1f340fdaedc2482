# Task04 of the Decathlon slice by slice: training on three planes, tests on one, every slice of every volume, scored as
# volumes on the grid of the file. 128 x 128 pixels and intensities from 0 to 1 as in the original, whose slices are
# interpolated ones. Mirroring is left out: left and right are across a sagittal slice, and along other axes it would
# turn front to back, by which the labels are told apart.
dataset_type = 'MSDSliceDataset'
data_root = 'data/MSD'
task = 'Task04_Hippocampus'
split_file = '{{ fileDirname }}/../../rare_unet/splits/hippocampus_166_42.json'
store_dir = 'work_dirs/slices'
train_planes = ['axial', 'coronal', 'sagittal']
test_plane = 'axial'
crop_size = (128, 128)
image = dict(type='LoadCase', num_channels=1)
labels = dict(type='LoadCaseAnnotations', num_classes=3)
prepare = [
    dict(type='NormalizeIntensity', mode='percentile', percentiles=(0.0, 100.0)),
    dict(type='ResampleInPlane', size=crop_size),
]
train_pipeline = [
    dict(type='LoadSlice', pipeline=[image, labels, *prepare], store_dir=store_dir),
    dict(type='RandomAffineVolume', degrees=7.0, scales=(0.95, 1.05), isotropic=True, shift=5.0, prob=0.5),
    dict(type='PackSliceInputs'),
]
# predictions are brought back to the slices of the file before they are counted
test_pipeline = [
    dict(type='LoadSlice', pipeline=[image, *prepare, labels], store_dir=store_dir),
    dict(type='PackSliceInputs'),
]
# the rule of the original, at most 15 slices with foreground of each volume and plane; None: all, empty ones too
train_dataloader = dict(
    batch_size=16,
    num_workers=4,
    persistent_workers=True,
    drop_last=True,
    sampler=dict(type='SeededSampler', shuffle=True),
    dataset=dict(
        type=dataset_type,
        data_root=data_root,
        task=task,
        split='train',
        split_file=split_file,
        planes=train_planes,
        foreground_slices=15,
        cache_dir=store_dir,
        pipeline=train_pipeline,
    ),
)
val_dataloader = dict(
    batch_size=16,
    num_workers=2,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type=dataset_type,
        data_root=data_root,
        task=task,
        split='val',
        split_file=split_file,
        planes=test_plane,
        test_mode=True,
        pipeline=test_pipeline,
    ),
)
test_dataloader = val_dataloader

val_evaluator = dict(type='SliceSegMetric', surface=None)
test_evaluator = dict(type='SliceSegMetric', tolerances=(1.0, 2.0))
