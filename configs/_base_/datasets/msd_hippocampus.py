# Task04 of the Medical Segmentation Decathlon: crops around one hippocampus, 1 mm, 31-43 x 40-59 x 24-47 voxels.
dataset_type = 'MSDDataset'
data_root = 'data/MSD'
task = 'Task04_Hippocampus'
split_file = '{{ fileDirname }}/../../rare_unet/splits/hippocampus_166_42.json'
patch_size = (40, 56, 40)
# labels of what is put around a small image are not learnt
load = [
    dict(type='LoadVolume', num_channels=1, rank=3),
    dict(type='LoadVolumeAnnotations', num_classes=3),
    dict(type='ReorientVolume', axes='RAS'),
    dict(type='NormalizeIntensity', mode='zscore', percentiles=(0.5, 99.5)),
]
train_pipeline = [
    *load,
    dict(type='RandomPatch', patch_size=patch_size, foreground_prob=0.33),
    dict(type='RandomFlipVolume', axes=(0, 1, 2), prob=0.5),
    dict(type='PackVolumeInputs'),
]
# The label is loaded after the last change of the grid: predictions are brought back to it before they are counted.
test_pipeline = [
    dict(type='LoadVolume', num_channels=1, rank=3),
    dict(type='ReorientVolume', axes='RAS'),
    dict(type='NormalizeIntensity', mode='zscore', percentiles=(0.5, 99.5)),
    dict(type='LoadVolumeAnnotations', num_classes=3),
    dict(type='PackVolumeInputs'),
]
train_dataloader = dict(
    batch_size=2,
    num_workers=4,
    persistent_workers=True,
    sampler=dict(type='SeededInfiniteSampler', shuffle=True),
    dataset=dict(
        type=dataset_type,
        data_root=data_root,
        task=task,
        split='train',
        split_file=split_file,
        pipeline=train_pipeline,
    ),
)
val_dataloader = dict(
    batch_size=1,
    num_workers=2,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type=dataset_type,
        data_root=data_root,
        task=task,
        split='val',
        split_file=split_file,
        test_mode=True,
        pipeline=test_pipeline,
    ),
)
test_dataloader = val_dataloader

val_evaluator = dict(type='CaseSegMetric', surface=None)
test_evaluator = dict(type='CaseSegMetric', tolerances=(1.0, 2.0))
