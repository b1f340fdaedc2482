# The baseline on brain tumours.
_base_ = './brain_tumour.py'
channels = (32, 64, 128, 256, 320, 320)
model = dict(
    _delete_=True,
    type='VolumeSegmentor',
    data_preprocessor=dict(type='VolumeDataPreProcessor'),
    backbone=dict(type='MedicalUNet', in_channels=4, channels=channels, decoder_depth=1, up_kernel=3, drop_rate=0.1),
    decode_head=dict(
        type='VolumeHead',
        in_channels=channels[0],
        num_classes=_base_.num_classes,
        loss_decode=dict(type='DiceCELoss', dice_weight=0.65, ce_weight=0.35, smooth=0),
    ),
    train_cfg=dict(),
    test_cfg=dict(mode='whole'),
)
predict_pipeline = _base_.test_pipeline
val_evaluator = dict(_delete_=True, type='CaseSegMetric', surface=None)
param_scheduler = dict(monitor='dice')
default_hooks = dict(checkpoint=dict(save_best='dice'))
custom_hooks = [dict(_base_.custom_hooks[0], monitor='dice')]
