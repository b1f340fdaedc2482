# Images as if taken at 1/2 of their resolution, scored on that grid. For 1/4 and 1/8:
# --cfg-options test_dataloader.dataset.pipeline.3.level=2 (or 3); 0 is the full resolution.
_base_ = '../hippocampus_cpu.py'
test_pipeline = [
    dict(type='LoadVolume', num_channels=1, rank=3),
    dict(type='LoadVolumeAnnotations', num_classes=3),
    dict(type='ReorientVolume', axes='RAS'),
    dict(type='SimulateScale', level=1, mode='native', compat=False),
    dict(type='NormalizeIntensity', mode='zscore', percentiles=(0.5, 99.5)),
    dict(type='PackVolumeInputs'),
]
test_dataloader = dict(dataset=dict(pipeline=test_pipeline))
