import numpy as np
import pytest
import torch

from mmseg_medical.datasets.transforms import (
    CropOrPadVolume,
    LoadVolume,
    LoadVolumeAnnotations,
    PackVolumeInputs,
    ReorientVolume,
)
from mmseg_medical.geometry import Grid, Volume

AFFINE = np.array([[0, -2.0, 0, 5], [1.5, 0, 0, -6], [0, 0, 3.0, 7], [0, 0, 0, 1]])
SIZE = (4, 6, 5)


def _case(dtype=np.uint8):
    label = (np.arange(120).reshape(SIZE) % 3).astype(dtype)
    return LoadVolume()(dict(volume=Volume(np.ones(SIZE), AFFINE), label_volume=Volume(label, AFFINE), case_id='a'))


def test_training_sample():
    results = ReorientVolume('RAS')(LoadVolumeAnnotations()(_case()))
    packed = PackVolumeInputs()(results)
    sample = packed['data_samples']
    assert (packed['inputs'].dtype, packed['inputs'].shape) == (torch.float32, (1, 6, 4, 5))
    assert (sample.gt_sem_seg.data.dtype, sample.gt_sem_seg.data.shape) == (torch.uint8, (1, 6, 4, 5))
    np.testing.assert_array_equal(sample.gt_sem_seg.data[0].numpy(), results['gt_seg_map'])
    assert packed['inputs'].is_contiguous()
    np.testing.assert_allclose(sample.spacing_mm, (2, 1.5, 3))


def test_sample_to_test():
    results = LoadVolumeAnnotations()(CropOrPadVolume((8, 8, 8))(ReorientVolume('RAS')(_case())))
    sample = PackVolumeInputs()(results)['data_samples']
    assert sample.gt_sem_seg.data.shape == (1, *SIZE)
    assert (sample.case_id, sample.ori_shape, sample.img_shape) == ('a', SIZE, (8, 8, 8))
    np.testing.assert_allclose(sample.spacing_mm, (1.5, 2, 3))
    np.testing.assert_allclose(np.linalg.norm(sample.affine[:3, :3], axis=0), (2, 1.5, 3))
    assert sample.native_grid == Grid(SIZE, AFFINE)
    assert [type(step).__name__ for step in sample.grid_steps] == ['Reorient', 'CropPad']
    assert sample.grid_steps[0].source == sample.native_grid
    assert sample.augmentations == []


def test_sample_to_predict():
    sample = PackVolumeInputs()(ReorientVolume('RAS')(_case()))['data_samples']
    assert 'gt_sem_seg' not in sample
    np.testing.assert_allclose(sample.spacing_mm, (1.5, 2, 3))


@pytest.mark.parametrize(
    ('given', 'packed'),
    [(np.uint16, torch.int32), (np.int64, torch.int64), (np.int16, torch.int16), (bool, torch.uint8)],
)
def test_types_of_labels(given, packed):
    results = dict(_case(), gt_seg_map=np.ones(SIZE, given))
    data = PackVolumeInputs()(results)['data_samples'].gt_sem_seg.data
    assert data.dtype == packed
    assert data.sum() == 120


def test_masks_and_planes():
    image = np.ones((3, 5, 7), np.float32)
    sample = PackVolumeInputs()(dict(img=image, gt_seg_map=np.ones((4, 5, 7), np.uint8)))['data_samples']
    assert sample.gt_sem_seg.data.shape == (4, 5, 7)
    sample = PackVolumeInputs()(dict(img=image[..., ::-1], gt_seg_map=np.ones((5, 7), np.uint8)))['data_samples']
    assert sample.gt_sem_seg.data.shape == (1, 5, 7)


def test_without_geometry():
    sample = PackVolumeInputs()(LoadVolume()(dict(volume=np.ones(SIZE))))['data_samples']
    assert sample.spacing_mm is None
    assert sample.affine is None


def test_results_are_not_changed():
    results = LoadVolumeAnnotations()(_case())
    before = dict(results)
    PackVolumeInputs()(results)
    assert results.keys() == before.keys()
    assert all(results[key] is before[key] for key in before)


def test_chosen_keys():
    sample = PackVolumeInputs(meta_keys=('case_id',))(_case())['data_samples']
    assert sorted(sample.metainfo_keys()) == ['case_id', 'img_shape', 'spacing_mm']
