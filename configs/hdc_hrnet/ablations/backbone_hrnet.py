# Backbone: mmseg's HRNet-W48 under HDC-HRNet's head.
_base_ = ['../acdc.py', '../../_base_/models/hrnet_w48.py']
model = dict(backbone=dict(_delete_=True, **_base_.hrnet_w48))
