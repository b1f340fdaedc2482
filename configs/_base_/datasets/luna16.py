# LUNA16: nodules in chest CT, HU -1000..400 mapped to 0..1, 1 mm voxels. Another fold: --cfg-options fold=3. Axes are
# x, y, z of the patient (LPS) everywhere: (128, 128, 64) is 64 slices of 128 x 128.
dataset_type = 'LUNA16Dataset'
data_root = 'data/LUNA16'
fold = 0
mask_source = 'lidc_contours'  # 'sphere' needs annotations.csv only; 'mask_dir' and exported contours: mask_root
mask_root = None
patch_size = (128, 128, 64)
spacing_mm = (1.0, 1.0, 1.0)
window = dict(type='NormalizeIntensity', mode='window', center=-300, width=1400)
grid = [
    dict(type='LoadLungField'),
    dict(type='ReorientVolume', axes='LPS'),
    dict(type='CropToLungField', margin_mm=10),
    dict(type='ResampleVolume', spacing_mm=spacing_mm),
    window,
]
# all that draws nothing: done once a case, kept on disk
load = [
    dict(type='LoadVolume', num_channels=1, rank=3),
    dict(type='LoadNoduleAnnotations'),
    *grid,
]
train_pipeline = [
    dict(
        type='LoadStoredPatch',
        pipeline=load,
        store_dir='work_dirs/luna16_store',
        patch=dict(type='RandomNodulePatch', patch_size=patch_size, nodule_prob=0.5),
    ),
    dict(type='RandomFlipVolume', axes=(0, 1, 2), prob=0.5),
    dict(type='RandomRotate90Volume', axes=(0, 1)),
    dict(type='RandomIntensity', contrast=0.1, brightness=0.05, prob=1.0, noise_prob=0.0, blur_prob=0.0, absolute=True),
    dict(type='PackVolumeInputs'),
]
# Behind the last change of the grid, the truth is that of the file: predictions are brought back to it.
test_pipeline = [
    dict(type='LoadVolume', num_channels=1, rank=3),
    *grid,
    dict(type='LoadNoduleAnnotations'),
    dict(type='PackVolumeInputs'),
]
dataset = dict(type=dataset_type, data_root=data_root, fold=fold, mask_source=mask_source, mask_root=mask_root)
train_dataloader = dict(
    batch_size=4,
    num_workers=4,
    persistent_workers=True,
    sampler=dict(type='SeededInfiniteSampler', shuffle=True),
    dataset=dict(**dataset, split='train', pipeline=train_pipeline),
)
val_dataloader = dict(
    batch_size=1,
    num_workers=2,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(**dataset, split='val', test_mode=True, pipeline=test_pipeline),
)
test_dataloader = dict(
    batch_size=1,
    num_workers=2,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(**dataset, split='test', test_mode=True, pipeline=test_pipeline),
)
val_evaluator = dict(type='NoduleSegMetric')
test_evaluator = dict(type='NoduleSegMetric', min_diameter_mm=3)
