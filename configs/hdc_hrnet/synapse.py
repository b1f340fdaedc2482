# HDC-HRNet on Synapse. Slices have 1.5 mm instead of 224 x 224 pixels; organs that are never found stay in the mean,
# out of which the release drops them.
_base_ = [
    '../_base_/models/hrnet_dcn.py',
    '../_base_/datasets/synapse.py',
    '../_base_/schedules/hdc_hrnet_150e.py',
    '../_base_/default_runtime.py',
]
model = dict(decode_head=dict(num_classes=_base_.num_classes, supervision_weights=()))
log_processor = dict(by_epoch=True)
