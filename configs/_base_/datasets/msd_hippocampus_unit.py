# The same volumes with intensities from 0 to 1, as the original of the hippocampus networks has them, every image once
# an epoch. Mirrored left to right alone: front and back are told apart by their labels. Patches hold nearly every image
# whole.
_base_ = './msd_hippocampus.py'
prepare = [
    dict(type='LoadVolume', num_channels=1, rank=3),
    dict(type='ReorientVolume', axes='RAS'),
    dict(type='NormalizeIntensity', mode='percentile', percentiles=(1.0, 99.0)),
]
labels = dict(type='LoadVolumeAnnotations', num_classes=3)
pack = dict(type='PackVolumeInputs')
train_pipeline = [
    prepare[0],
    labels,
    *prepare[1:],
    dict(type='RandomFlipVolume', axes=(0,), prob=0.5),
    dict(type='RandomPatch', patch_size=_base_.patch_size, foreground_prob=0.33),
    dict(type='RandomGain', gains=(0.9, 1.1), prob=0.5, clip=(0.0, 1.0)),
    pack,
]
# predictions are brought back to the grid of the file before they are counted
test_pipeline = [*prepare, labels, pack]
train_dataloader = dict(
    drop_last=True,
    sampler=dict(_delete_=True, type='SeededSampler', shuffle=True),
    dataset=dict(pipeline=train_pipeline),
)
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = dict(dataset=dict(pipeline=test_pipeline))
