# The same for the U-Net without gates: the coarse image is brought back to its size.
_base_ = '../unet3d_hippocampus_cpu.py'
test_pipeline = [
    dict(type='LoadVolume', num_channels=1, rank=3),
    dict(type='LoadVolumeAnnotations', num_classes=3),
    dict(type='ReorientVolume', axes='RAS'),
    dict(type='SimulateScale', level=1, mode='upsample', compat=False),
    dict(type='NormalizeIntensity', mode='zscore', percentiles=(0.5, 99.5)),
    dict(type='PackVolumeInputs'),
]
test_dataloader = dict(dataset=dict(pipeline=test_pipeline))
