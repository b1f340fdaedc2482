# HDC-HRNet on M&Ms. The release divides all volumes at random, so that both times of a patient may fall apart; here
# the parts are those of the data set. Slices have 1.5 mm instead of 224 x 224 pixels.
_base_ = [
    '../_base_/models/hrnet_dcn.py',
    '../_base_/datasets/mnms.py',
    '../_base_/schedules/hdc_hrnet_150e.py',
    '../_base_/default_runtime.py',
]
model = dict(decode_head=dict(supervision_weights=()))
log_processor = dict(by_epoch=True)
