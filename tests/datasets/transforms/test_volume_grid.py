import numpy as np
import pytest
from scipy import ndimage

from mmseg_medical.datasets import DataError
from mmseg_medical.datasets.transforms import (
    CropOrPadVolume,
    CropToForeground,
    LoadVolume,
    LoadVolumeAnnotations,
    ReorientVolume,
    ResampleVolume,
)
from mmseg_medical.errors import ConfigError
from mmseg_medical.geometry import Volume, restore

AFFINE = np.array([[0, -2.0, 0, 5], [1.5, 0, 0, -6], [0, 0, 3.0, 7], [0, 0, 0, 1]])
SIZE = (11, 8, 5)


def _case(size=SIZE, affine=AFFINE, masks=False):
    rng = np.random.default_rng(0)
    image = ndimage.gaussian_filter(rng.normal(size=size), 1).astype(np.float32)
    label = rng.integers(0, 3, size).astype(np.uint8)
    results = LoadVolume()(dict(volume=Volume(image, affine), label_volume=Volume(label, affine), case_id='a'))
    return LoadVolumeAnnotations(regions=[[1], [1, 2]] if masks else None)(results)


@pytest.mark.parametrize('masks', [False, True])
def test_reorient(masks):
    case = _case(masks=masks)
    before = case['img'].copy()
    results = ReorientVolume('RAS')(dict(case))
    assert results['img'].shape == (1, 8, 11, 5)
    np.testing.assert_array_equal(results['img'][0], before[0].transpose(1, 0, 2)[::-1])
    np.testing.assert_array_equal(results['gt_seg_map'], case['gt_seg_map'].swapaxes(-3, -2)[..., ::-1, :, :])
    np.testing.assert_allclose(results['spacing_mm'], (2, 1.5, 3))
    assert (np.diag(results['affine'])[:3] > 0).all()
    assert results['img_shape'] == (8, 11, 5)
    assert results['ori_shape'] == SIZE
    assert results['img'].flags.c_contiguous
    assert results['gt_seg_map'].flags.c_contiguous
    np.testing.assert_array_equal(case['img'], before)


def test_without_affine_nothing_is_turned():
    results = LoadVolume()(dict(volume=np.zeros(SIZE)))
    assert ReorientVolume('RAS')(results)['grid_steps'] == []


def test_resample():
    results = ResampleVolume((1.0, 1.0, 1.0))(_case())
    assert results['img'].shape == (1, 17, 16, 15)
    assert results['gt_seg_map'].shape == (17, 16, 15)
    assert results['gt_seg_map'].dtype == np.uint8
    assert set(np.unique(results['gt_seg_map'])) == {0, 1, 2}
    np.testing.assert_allclose(results['spacing_mm'], (11 * 1.5 / 17, 1, 1))


def test_orders():
    case = _case()
    nearest = ResampleVolume((1.0, 1.0, 1.0), 'nearest')(dict(case))['img']
    assert set(np.unique(nearest)) <= set(np.unique(case['img']))
    linear = ResampleVolume((1.0, 1.0, 1.0), label_order='label_linear')(dict(case))['gt_seg_map']
    assert (linear != ResampleVolume((1.0, 1.0, 1.0))(dict(case))['gt_seg_map']).any()


def test_spacing_of_a_file_without_geometry():
    with pytest.raises(DataError, match='expected an affine, to know the spacing'):
        ResampleVolume((1, 1, 1))(LoadVolume()(dict(volume=np.zeros(SIZE))))


@pytest.mark.parametrize('masks', [False, True])
def test_crop_and_pad(masks):
    case = _case(masks=masks)
    results = CropOrPadVolume((7, 12, None))(dict(case))
    assert results['img'].shape == (1, 7, 12, 5)
    np.testing.assert_array_equal(results['img'][:, :, 2:10], case['img'][:, 2:9])
    np.testing.assert_array_equal(results['gt_seg_map'][..., 2:10, :], case['gt_seg_map'][..., 2:9, :, :])
    assert not results['img'][:, :, :2].any()
    np.testing.assert_allclose(results['affine'] @ (0, 2, 0, 1), case['affine'] @ (2, 0, 0, 1))


def test_odd_numbers_as_torchio():
    torchio = pytest.importorskip('torchio')
    import torch

    case = _case((7, 6, 3))
    for size in ((2, 3, 4), (8, 9, 1), (10, 6, 6), (4, 1, 3)):
        expected = torchio.CropOrPad(size)(torch.from_numpy(case['img'])).numpy()
        np.testing.assert_array_equal(CropOrPadVolume(size, odd_end='lower')(dict(case))['img'], expected)


def test_values_outside():
    results = CropOrPadVolume((11, 8, 7), pad_val=-1024, seg_pad_val=255)(_case())
    assert (results['img'][..., 0] == -1024).all()
    assert (results['gt_seg_map'][..., 6] == 255).all()
    assert results['gt_seg_map'].dtype == np.uint8


@pytest.mark.parametrize(
    ('arguments', 'size'),
    [
        (dict(multiple_of=4), (12, 8, 8)),
        (dict(multiple_of=(16, 1, 3)), (16, 8, 6)),
        (dict(size=(5, 5, 5), multiple_of=2), (6, 6, 6)),
        (dict(), SIZE),
    ],
)
def test_multiples(arguments, size):
    assert CropOrPadVolume(**arguments)(_case())['img_shape'] == size


def test_foreground():
    case = _case((20, 20, 20), np.diag([1, 2, 4, 1.0]))
    image = np.zeros((1, 20, 20, 20), np.float32)
    image[0, 5:9, 10, 12:18] = 1
    case['img'] = image
    assert CropToForeground()(dict(case))['img_shape'] == (4, 1, 6)
    assert CropToForeground(margin_voxels=3)(dict(case))['img_shape'] == (10, 7, 11)
    results = CropToForeground(margin_mm=3.0)(dict(case))
    assert results['img_shape'] == (10, 5, 8)
    np.testing.assert_array_equal(results['img'], image[:, 2:12, 8:13, 11:19])
    np.testing.assert_array_equal(results['gt_seg_map'], case['gt_seg_map'][2:12, 8:13, 11:19])
    assert CropToForeground(threshold=1)(dict(case))['img_shape'] == (20, 20, 20)


def test_foreground_of_any_channel():
    image = np.zeros((2, 5, 6), np.float32)
    image[0, 1, 1] = image[1, 3, 4] = 1
    results = CropToForeground()(LoadVolume(rank=2)(dict(volume=image)))
    assert results['img_shape'] == (3, 4)
    with pytest.raises(ConfigError, match='needs images with an affine'):
        CropToForeground(margin_mm=1)(LoadVolume(rank=2)(dict(volume=image)))


def test_steps_lead_back():
    case = _case()
    results = dict(case)
    for transform in (ReorientVolume('LPS'), CropToForeground(threshold=0.1), CropOrPadVolume((16, 16, 16))):
        results = transform(results)
    assert len(results['grid_steps']) == 3
    back = restore(results['gt_seg_map'], results['grid_steps'], 'nearest')
    assert back.shape == SIZE
    kept = restore(np.ones((16, 16, 16), np.uint8), results['grid_steps'], 'nearest').astype(bool)
    assert kept.any()
    np.testing.assert_array_equal(back[kept], case['gt_seg_map'][kept])
    assert case['grid_steps'] == []


def test_smooth_labels_survive_resampling_and_the_way_back():
    label = np.zeros((20, 22, 18), np.uint8)
    label[4:15, 5:16, 3:12] = 1
    case = LoadVolume()(dict(volume=Volume(label.astype(float), np.diag([1, 1.2, 2, 1])), label_volume=label))
    results = ResampleVolume((0.8, 0.8, 0.8))(LoadVolumeAnnotations()(case))
    back = restore(results['gt_seg_map'], results['grid_steps'], 'nearest')
    assert 2 * (back & label).sum() / (back.sum() + label.sum()) > 0.93


def test_locations_of_the_old_grid_are_dropped():
    assert 'class_locations' not in CropOrPadVolume((4, 4, 4))(
        dict(_case(), class_locations={1: np.zeros((1, 3), int)})
    )


@pytest.mark.parametrize(
    ('make', 'message'),
    [
        (lambda: ResampleVolume((1, 0, 1)), 'spacing_mm of ResampleVolume must be positive'),
        (lambda: ResampleVolume((1, 1, 1), label_order='linear'), 'label_order one of'),
        (lambda: CropOrPadVolume((0, 4, 4)), 'must be positive'),
        (lambda: CropOrPadVolume((4, 4, 4), odd_end='left'), 'odd_end of CropOrPadVolume'),
        (lambda: CropOrPadVolume(multiple_of=(4, 0, 4)), 'must be positive'),
        (lambda: CropToForeground(margin_voxels=-1), 'must not be negative'),
        (lambda: CropOrPadVolume((4, 4))(_case()), r'size \(4, 4\) of CropOrPadVolume is for 2 axes'),
    ],
)
def test_wrong_arguments(make, message):
    with pytest.raises(ConfigError, match=message):
        make()


def test_wrong_axes():
    with pytest.raises(ValueError, match='RAX'):
        ReorientVolume('RAX')(_case())
