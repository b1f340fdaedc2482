# SegFormer on Synapse.
_base_ = [
    '../_base_/models/segformer_b0.py',
    '../_base_/datasets/synapse.py',
    '../_base_/schedules/hdc_hrnet_150e.py',
    '../_base_/default_runtime.py',
]
model = dict(decode_head=dict(num_classes=_base_.num_classes))
log_processor = dict(by_epoch=True)
