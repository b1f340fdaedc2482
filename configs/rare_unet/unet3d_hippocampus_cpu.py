# A 3D U-Net of 5.6 M parameters for two CPU cores and one hour.
_base_ = [
    '../_base_/models/unet3d.py',
    '../_base_/datasets/msd_hippocampus.py',
    '../_base_/schedules/hippocampus_cpu.py',
    '../_base_/default_runtime.py',
]
channels = (16, 32, 64, 128, 256)
model = dict(
    backbone=dict(channels=channels),
    decode_head=dict(in_channels=channels[0]),
    test_cfg=dict(precision='bfloat16'),
)
tta_cfg = dict(mirror_axes=(0, 1, 2))
train_pipeline = [
    *_base_.load,
    dict(type='RandomAffineVolume', degrees=15, scales=(0.87, 1.15), prob=0.5),
    dict(type='RandomPatch', patch_size=_base_.patch_size, foreground_prob=0.33),
    dict(type='RandomFlipVolume', axes=(0, 1, 2), prob=0.5),
    dict(type='PackVolumeInputs'),
]
train_dataloader = dict(num_workers=1, dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(num_workers=1)
test_dataloader = dict(num_workers=1)
