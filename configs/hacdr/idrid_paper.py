# What the paper's figures show where they differ from the released code: network, enhanced input, NALoss that tells
# hard pixels by their probability. Four times the parameters, mostly offsets of the optional branch.
_base_ = './ablations/input_enhance.py'
class_weight = [0.5, 0.7, 1.5, 0.7, 1.1]
model = dict(
    backbone=dict(mode='paper'),
    decode_head=dict(
        loss_decode=[
            dict(type='PixelMeanCrossEntropyLoss', class_weight=class_weight),
            dict(
                type='NALoss',
                class_counts='{{ fileDirname }}/statistics/idrid_train_crop_1280x1280.json',
                class_weight=class_weight,
                threshold=0.5,
                score='softmax',
                loss_weight=0.2,
            ),
        ]
    ),
)
