# HDC-HRNet on ACDC. The release differs in what hides or distorts (acdc_released.py follows it as far as it should be):
# it divides volumes, so that most patients it validates on are patients it trains on; it squeezes every slice to
# 224 x 224 whatever its millimetres; its augmentation, a flag, scales the slices that it trains on to [0, 1], and no
# others; its distances are counted in voxels.
_base_ = [
    '../_base_/models/hrnet_dcn.py',
    '../_base_/datasets/acdc.py',
    '../_base_/schedules/hdc_hrnet_acdc.py',
    '../_base_/default_runtime.py',
]
class_weight = (0.1, 1.5, 1.5, 1.0)
model = dict(decode_head=dict(loss_decode=dict(class_weight=class_weight)))
log_processor = dict(by_epoch=True)
