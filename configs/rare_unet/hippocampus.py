# The published recipe on the hippocampus, without augmentation. Unlike the release it scales intensities before zeros
# are put around, and scores on the grid of the file; ablations/preprocessing_released.py does the former as released.
# The configuration of the final published run is not known; dropout is that of the configuration file.
_base_ = [
    '../_base_/datasets/msd_hippocampus.py',
    '../_base_/default_runtime.py',
    '../_base_/models/rare_unet.py',
    '../_base_/schedules/rare_unet_80e.py',
]
grid = [
    dict(type='ReorientVolume', axes='RAS'),
    dict(type='ResampleVolume', spacing_mm=(1.0, 1.0, 1.0)),
]
intensity = dict(type='NormalizeIntensity', mode='percentile', percentiles=(0.5, 99.5))
prepare = [*grid, intensity, dict(type='CropOrPadVolume', size=_base_.target_size)]
image = dict(type='LoadVolume', num_channels=1, rank=3)
labels = dict(type='LoadVolumeAnnotations', num_classes=_base_.num_classes)
pack = dict(type='PackVolumeInputs')
train_pipeline = [image, labels, *prepare, pack]
test_pipeline = [image, *prepare, labels, pack]
train_dataloader = dict(
    drop_last=True,
    sampler=dict(_delete_=True, type='SeededSampler', shuffle=True),
    dataset=dict(pipeline=train_pipeline),
)
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = dict(dataset=dict(pipeline=test_pipeline))
# a file enters at the level of its own resolution, whole
predict_pipeline = [image, grid[0], intensity, pack]
model = dict(backbone=dict(routing=dict(spacing_mm=(1.0, 1.0, 1.0))))
log_processor = dict(by_epoch=True)
val_evaluator = dict(_delete_=True, type='MultiScaleSegMetric', num_scales=3)
