"""The real volumes, where they are, through pipelines."""

import numpy as np
import pytest
import torch
from mmengine.dataset import Compose
from mmengine.registry import init_default_scope

from mmseg_medical.geometry import restore_labels

pytestmark = pytest.mark.realdata
LOAD = [dict(type='LoadVolume', num_channels=1, rank=3), dict(type='ReorientVolume')]
LABELS = dict(type='LoadVolumeAnnotations', num_classes=3)


@pytest.fixture(scope='module')
def cases(realdata):
    folder = realdata / 'Task04_Hippocampus'
    return [
        dict(img_path=str(path), seg_map_path=str(folder / 'labelsTr' / path.name), case_id=path.name)
        for path in sorted((folder / 'imagesTr').glob('*.nii.gz'))[:12]
    ]


def _pipeline(*steps):
    init_default_scope('mmseg_medical')
    return Compose([dict(step) for step in steps])


def test_training(cases):
    pipeline = _pipeline(
        LOAD[0],
        LABELS,
        LOAD[1],
        dict(type='NormalizeIntensity', percentiles=(0.5, 99.5)),
        dict(type='RandomPatch', patch_size=(32, 40, 32), foreground_prob=1.0),
        dict(type='RandomAffineVolume', prob=0.5, elastic_prob=0.5),
        dict(type='RandomFlipVolume'),
        dict(type='PackVolumeInputs'),
    )
    for case in cases:
        packed = pipeline(dict(case))
        assert packed['inputs'].shape == (1, 32, 40, 32)
        assert torch.isfinite(packed['inputs']).all()
        assert packed['inputs'].abs().max() < 20
        sample = packed['data_samples']
        assert sample.augmentations[0]['drawn_class'] in (1, 2)
        assert sample.gt_sem_seg.data.max() <= 2


def test_perfect_prediction_finds_back_to_the_file(cases):
    crop = dict(type='CropOrPadVolume', size=(48, 64, 48))
    ahead = _pipeline(LOAD[0], LABELS, LOAD[1], crop)
    testing = _pipeline(*LOAD, crop, LABELS, dict(type='PackVolumeInputs'))
    for case in cases:
        moved, sample = ahead(dict(case))['gt_seg_map'], testing(dict(case))['data_samples']
        scores = np.stack([moved == k for k in range(3)]).astype(np.float32)
        found = restore_labels(scores, sample.grid_steps)
        np.testing.assert_array_equal(found, sample.gt_sem_seg.data[0].numpy())


@pytest.mark.parametrize('level', [0, 1, 2, 3])
def test_scales(cases, level):
    pipeline = _pipeline(
        LOAD[0],
        LABELS,
        LOAD[1],
        dict(type='CropOrPadVolume', size=(32, 64, 32)),
        dict(type='SimulateScale', level=level),
        dict(type='NormalizeIntensity', mode='percentile', pooled=True),
        dict(type='PackVolumeInputs'),
    )
    packed = pipeline(dict(cases[0]))
    size = tuple(n // 2**level for n in (32, 64, 32))
    assert packed['inputs'].shape == (1, *size)
    assert packed['data_samples'].gt_sem_seg.data.shape == (1, *size)
    np.testing.assert_allclose(packed['data_samples'].spacing_mm, [2.0**level] * 3)


def test_dicom_series(realdata):
    packed = _pipeline(*LOAD, dict(type='PackVolumeInputs'))(dict(img_path=str(realdata / 'hippocampus_dicom')))
    assert 32 in packed['inputs'].shape
    assert packed['data_samples'].native_grid.affine is not None
