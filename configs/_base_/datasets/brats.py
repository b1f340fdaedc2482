# BraTS 2021: heads in four modalities, 1 mm, skulls removed, scored by region. The labels of the official validation
# part are not published; this divides the training part:
# python tools/analysis_tools/make_patient_splits.py BraTSDataset data/BraTS2021 --hold-out 250 \
#   --out data/BraTS2021/split.json
dataset_type = 'BraTSDataset'
data_root = 'data/BraTS2021'
split_file = 'data/BraTS2021/split.json'
store_dir = 'work_dirs/slices'
num_classes = 4
crop_size = (224, 224)
image = dict(type='LoadCase', num_channels=4)
labels = dict(type='LoadCaseAnnotations', num_classes=num_classes)
# of the brain; what is around it stays 0
prepare = [dict(type='NormalizeInside', region='brain')]
train_slice = dict(type='LoadSlice', pipeline=[image, labels, *prepare], store_dir=store_dir)
test_slice = dict(type='LoadSlice', pipeline=[image, *prepare, labels], store_dir=store_dir)
train_pipeline = [
    train_slice,
    dict(type='RandomPatch', patch_size=crop_size, foreground_prob=0.5),
    dict(type='PackSliceInputs'),
]
test_pipeline = [test_slice, dict(type='PackSliceInputs')]
train_dataloader = dict(
    batch_size=4,
    num_workers=4,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=True),
    dataset=dict(type=dataset_type, data_root=data_root, split='train', split_file=split_file, pipeline=train_pipeline),
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
        test_mode=True,
        pipeline=test_pipeline,
    ),
)
test_dataloader = val_dataloader

regions = dict(WT=[1, 2, 3], TC=[1, 3], ET=[3])
val_evaluator = dict(type='SliceSegMetric', surface=None, regions=regions)
test_evaluator = dict(type='SliceSegMetric', tolerances=(1.0, 2.0), regions=regions)
