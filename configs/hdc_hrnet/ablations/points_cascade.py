# Uncertain points as PointRend was published: a second head with a loss of its points.
_base_ = [
    '../../_base_/models/hrnet_dcn_point_head.py',
    '../../_base_/datasets/acdc.py',
    '../../_base_/schedules/hdc_hrnet_acdc.py',
    '../../_base_/default_runtime.py',
]
heads = _base_.model.decode_head
loss = dict(heads[0].loss_decode, class_weight=(0.1, 1.5, 1.5, 1.0))
model = dict(decode_head=[dict(heads[0], loss_decode=loss), heads[1]])
log_processor = dict(by_epoch=True)
