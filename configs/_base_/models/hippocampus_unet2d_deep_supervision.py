# A classifier at every step of the decoder, 7,763,884 parameters. The original has no loss for it; ours weighs the
# logits, enlarged to the size of the labels, with 1, 1/2, 1/4 and 1/8 of their sum. Only the finest ones predict.
_base_ = './hippocampus_unet2d.py'
model = dict(
    backbone=dict(num_outputs=4),
    decode_head=dict(
        in_channels=[_base_.base_channels * 2**i for i in reversed(range(4))],
        projection=None,
        supervision_weights='halving',
        target_resize='keep',
    ),
)
