# Counts are the published ones, of the 532 training and validation images at 1280 x 1280.
_base_ = [
    '../_base_/models/hacdr.py',
    '../_base_/datasets/ddr_1280x1280.py',
    '../_base_/schedules/hacdr_40k.py',
    '../_base_/default_runtime.py',
]
class_weight = [0.5, 0.7, 1.5, 0.7, 1.1]
model = dict(
    data_preprocessor=dict(size=(1280, 1280)),
    decode_head=dict(
        loss_decode=[
            dict(type='PixelMeanCrossEntropyLoss', class_weight=class_weight),
            dict(
                type='NALoss',
                class_counts=[8.6558e8, 1.6184e6, 2.1746e5, 8.5343e5, 3.3566e6],
                class_weight=class_weight,
                threshold=0.5,
                loss_weight=0.2,
            ),
        ]
    ),
)
