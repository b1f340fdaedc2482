# The published recipe on brain tumours: four modalities, gates of four convolutions, dropout of the published runs.
_base_ = './hippocampus.py'
target_size = (256, 256, 128)
num_classes = 4
model = dict(
    backbone=dict(in_channels=4, target_size=target_size, gate_depth=4, drop_rate=0.1),
    decode_head=dict(num_classes=num_classes),
)
# zeros are no brain: they stay out of the percentiles
intensity = dict(type='NormalizeIntensity', mode='percentile', percentiles=(0.5, 99.5), region='nonzero')
prepare = [*_base_.grid, intensity, dict(type='CropOrPadVolume', size=target_size)]
image = dict(type='LoadVolume', num_channels=4, rank=3)
labels = dict(type='LoadVolumeAnnotations', num_classes=num_classes)
train_pipeline = [image, labels, *prepare, _base_.pack]
test_pipeline = [image, *prepare, labels, _base_.pack]
predict_pipeline = [image, _base_.grid[0], intensity, _base_.pack]
task = 'Task01_BrainTumour'
split_file = '{{ fileDirname }}/splits/brain_tumour_368_19_97.json'
train_dataloader = dict(dataset=dict(task=task, split_file=split_file, pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(task=task, split_file=split_file, pipeline=test_pipeline))
test_dataloader = dict(dataset=dict(task=task, split='test', split_file=split_file, pipeline=test_pipeline))
