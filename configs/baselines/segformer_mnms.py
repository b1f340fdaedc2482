# SegFormer on M&Ms.
_base_ = [
    '../_base_/models/segformer_b0.py',
    '../_base_/datasets/mnms.py',
    '../_base_/schedules/hdc_hrnet_150e.py',
    '../_base_/default_runtime.py',
]
log_processor = dict(by_epoch=True)
