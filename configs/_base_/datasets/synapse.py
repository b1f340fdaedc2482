# Synapse (BTCV): abdominal CT with 13 organs. Slices at 1.5 mm, Hounsfield units -160..240. The labels of the official
# test part are not published; this divides the training part:
# python tools/analysis_tools/make_patient_splits.py SynapseDataset data/Synapse --folds 5 --out data/Synapse/folds.json
dataset_type = 'SynapseDataset'
data_root = 'data/Synapse'
split_file = 'data/Synapse/folds.json'
store_dir = 'work_dirs/slices'
num_classes = 14
crop_size = (224, 224)
image = dict(type='LoadCase', num_channels=1)
labels = dict(type='LoadCaseAnnotations', num_classes=num_classes)
prepare = [
    dict(type='NormalizeIntensity', mode='window', center=40, width=400),
    dict(type='ResampleInPlane', spacing_mm=1.5),
]
train_slice = dict(type='LoadSlice', pipeline=[image, labels, *prepare], store_dir=store_dir, copies=3)
test_slice = dict(type='LoadSlice', pipeline=[image, *prepare, labels], store_dir=store_dir, copies=3)
train_pipeline = [
    train_slice,
    dict(type='RandomPatch', patch_size=crop_size, foreground_prob=0.5),
    dict(type='PackSliceInputs'),
]
test_pipeline = [test_slice, dict(type='PackSliceInputs')]
train_dataloader = dict(
    batch_size=8,
    num_workers=4,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=True),
    dataset=dict(
        type=dataset_type, data_root=data_root, split='train', split_file=split_file, fold=0, pipeline=train_pipeline
    ),
)
val_dataloader = dict(
    batch_size=1,
    num_workers=2,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type=dataset_type,
        data_root=data_root,
        split='val',
        split_file=split_file,
        fold=0,
        test_mode=True,
        pipeline=test_pipeline,
    ),
)
test_dataloader = val_dataloader

val_evaluator = dict(type='SliceSegMetric', surface=None)
test_evaluator = dict(type='SliceSegMetric', tolerances=(1.0, 2.0))
