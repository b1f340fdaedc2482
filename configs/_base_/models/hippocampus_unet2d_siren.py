# Batch norm, and sine layers on the coordinates and a few projected features; the light variant, 7,767,755 parameters.
# Balanced: base_channels=48, projection=12, hidden=96, layers=3; full: 64, 16, 128, 3.
_base_ = './hippocampus_unet2d.py'
model = dict(
    backbone=dict(norm='batch', act='relu'),
    decode_head=dict(
        type='ImplicitVolumeHead',
        projection=8,
        implicit=dict(type='SirenHead', hidden=64, layers=2, chunk_points=4096),
    ),
)
