# UPerNet on ConvNeXt-T (Liu et al. 2022, arXiv:2201.03545), from scratch. The backbone is mmpretrain's, which
# imports torchvision: pip install 'mmseg-medical[baselines]'
_base_ = './upernet_swin_tiny.py'
model = dict(
    backbone=dict(
        _delete_=True,
        type='mmpretrain_backbone',
        backbone='ConvNeXt',
        arch='tiny',
        out_indices=(0, 1, 2, 3),
        drop_path_rate=0.4,
        layer_scale_init_value=1.0,
        gap_before_final_norm=False,
    )
)
