import json

import numpy as np
import pytest
import torch
from torch.nn.functional import interpolate

from mmseg_medical.datasets.transforms import (
    CropOrPadVolume,
    LoadVolume,
    LoadVolumeAnnotations,
    PackVolumeInputs,
    SimulateScale,
)
from mmseg_medical.datasets.transforms.simulate_scale import FirstOfBlock, resize_labels
from mmseg_medical.errors import ConfigError
from mmseg_medical.geometry import Grid, GridStep, Resample, Volume, restore, restore_labels

AFFINE = np.array([[0, 2.0, 0, 7], [-1.5, 0, 0, 8], [0, 0, 3, 9], [0, 0, 0, 1]])


def _case(size=(16, 24, 8), label=None):
    rng = np.random.default_rng(0)
    image = rng.normal(size=size).astype(np.float32)
    label = rng.integers(0, 3, size).astype(np.uint8) if label is None else label
    affine = AFFINE if len(size) == 3 else np.eye(4)
    results = LoadVolume()(dict(volume=Volume(image, affine), label_volume=Volume(label, affine), case_id='a'))
    return LoadVolumeAnnotations()(results)


def _ramp():
    ramp = np.broadcast_to(np.arange(16).reshape(16, 1, 1), (16, 16, 16))
    results = LoadVolume()(dict(volume=ramp.astype(np.float32), label_volume=ramp.astype(np.uint8)))
    return LoadVolumeAnnotations()(results)


@pytest.mark.parametrize(
    ('level', 'image', 'label'),
    [
        (1, np.arange(0.5, 16, 2), range(0, 16, 2)),
        (2, np.arange(1.5, 16, 4), range(0, 16, 4)),
        (3, [3.5, 11.5], [0, 8]),
    ],
)
def test_ramp_of_the_published_evaluation(level, image, label):
    results = SimulateScale(level)(_ramp())
    np.testing.assert_allclose(results['img'][0, :, 0, 0], image)
    np.testing.assert_array_equal(results['gt_seg_map'][:, 0, 0], list(label))


@pytest.mark.parametrize('level', [1, 2, 3])
def test_labels_follow_the_image_without_a_shift(level):
    block = 2**level
    case = _ramp()
    case['gt_seg_map'] = (np.arange(16) // block).astype(np.uint8).reshape(16, 1, 1).repeat(16, 1).repeat(16, 2)
    results = SimulateScale(level, compat=False)(case)
    np.testing.assert_allclose(results['img'][0, :, 0, 0], np.arange((block - 1) / 2, 16, block))
    np.testing.assert_array_equal(results['gt_seg_map'][:, 0, 0], range(16 // block))


@pytest.mark.parametrize('level', [1, 2, 3])
def test_a_mirrored_case_gives_the_mirrored_result(level):
    case, mirrored = _case(), _case()
    mirrored['img'] = np.ascontiguousarray(case['img'][:, ::-1, :, ::-1])
    mirrored['gt_seg_map'] = np.ascontiguousarray(case['gt_seg_map'][::-1, :, ::-1])
    first, second = SimulateScale(level, compat=False)(case), SimulateScale(level, compat=False)(mirrored)
    np.testing.assert_allclose(second['img'], first['img'][:, ::-1, :, ::-1], atol=1e-6)
    np.testing.assert_array_equal(second['gt_seg_map'], first['gt_seg_map'][::-1, :, ::-1])


def test_average_reads_every_voxel():
    case = _case()
    image = case['img'][0]
    results = SimulateScale(2, compat=False)(case)
    expected = image.reshape(4, 4, 6, 4, 2, 4).mean(axis=(1, 3, 5))
    np.testing.assert_allclose(results['img'][0], expected, atol=1e-6)


@pytest.mark.parametrize('size', [(16, 24, 8), (35, 51, 35), (7, 5, 3), (1, 9, 2), (13, 11)])
@pytest.mark.parametrize('level', [0, 1, 2, 3])
def test_as_torch_resizes(size, level):
    case = _case(size)
    image, label = torch.from_numpy(case['img'])[None], torch.from_numpy(case['gt_seg_map'])[None, None].double()
    results = SimulateScale(level)(case)
    coarse = tuple(max(1, round(n / 2**level)) for n in size)
    assert results['img_shape'] == results['ori_shape'] == results['native_grid'].size == coarse
    mode = 'trilinear' if len(size) == 3 else 'bilinear'
    expected = interpolate(image, size=coarse, mode=mode, align_corners=False)[0].numpy()
    np.testing.assert_array_equal(results['img'], expected)
    np.testing.assert_array_equal(results['gt_seg_map'], interpolate(label, size=coarse, mode='nearest')[0, 0].numpy())
    assert results['gt_seg_map'].dtype == np.uint8
    assert (results['scale_level'], results['grid_steps']) == (level, [])


@pytest.mark.parametrize('have', [1, 2, 5, 8, 13, 64])
def test_nearest_labels_as_torch(have):
    label = np.arange(have, dtype=np.uint8)
    for want in range(1, have + 1):
        expected = interpolate(torch.from_numpy(label)[None, None].double(), size=want, mode='nearest')[0, 0].numpy()
        np.testing.assert_array_equal(resize_labels(label, (want,), compat=True), expected)


def test_label_around_the_centre_of_each_block():
    label = np.array([[0, 1, 2, 2], [1, 1, 0, 2]], np.uint8)
    np.testing.assert_array_equal(resize_labels(label, (1, 2)), [[1, 2]])
    np.testing.assert_array_equal(resize_labels(label[:, ::-1], (1, 2)), [[2, 1]])
    np.testing.assert_array_equal(resize_labels(label[:, ::-1], (2, 1)), [[1], [0]])
    assert resize_labels(label[None], (1, 2)).shape == (1, 1, 2)
    assert resize_labels(label, (2, 4)) is label


def test_affines():
    fine = _case()
    published = SimulateScale(1)(dict(fine))
    np.testing.assert_allclose(published['affine'][:3, :3], 2 * AFFINE[:3, :3])
    np.testing.assert_allclose(published['affine'][:3, 3], AFFINE[:3, 3])
    exact = SimulateScale(2, compat=False)(dict(fine))
    plan = Resample.plan(fine['native_grid'], size=(4, 6, 2)).target
    np.testing.assert_allclose(exact['affine'], plan.affine)
    np.testing.assert_allclose(exact['spacing_mm'], (6.0, 8.0, 12.0))


@pytest.mark.parametrize('compat', [True, False])
def test_prediction_at_the_old_size_is_scored_on_the_coarse_grid(compat):
    case = CropOrPadVolume((16, 16, 16))(_case())
    truth = case['gt_seg_map']
    results = SimulateScale(2, 'upsample', compat)(case)
    assert results['img'].shape == (1, 16, 16, 16)
    assert results['gt_seg_map'].shape == results['ori_shape'] == (4, 4, 4)
    assert results['labels_on_native_grid']
    scores = np.stack([truth == k for k in range(3)]).astype(np.float32)
    found = restore_labels(scores, results['grid_steps'])
    assert found.shape == (4, 4, 4)
    if compat:
        np.testing.assert_array_equal(found, results['gt_seg_map'])
        np.testing.assert_array_equal(found, truth[::4, ::4, ::4])


@pytest.mark.parametrize('level', [1, 2, 3])
def test_image_interpolated_back(level):
    native = SimulateScale(level)(_case())['img']
    back = SimulateScale(level, 'upsample')(_case())['img']
    expected = interpolate(torch.from_numpy(native)[None], size=(16, 24, 8), mode='trilinear')[0].numpy()
    np.testing.assert_array_equal(back, expected)


def test_image_in_the_middle_of_zeros():
    native, padded = SimulateScale(1)(_case()), SimulateScale(1, 'pad')(_case())
    assert padded['img'].shape == (1, 16, 24, 8)
    np.testing.assert_array_equal(padded['img'][:, 4:12, 6:18, 2:6], native['img'])
    assert np.count_nonzero(padded['img']) == native['img'].size
    np.testing.assert_array_equal(padded['gt_seg_map'], native['gt_seg_map'])
    np.testing.assert_array_equal(restore(padded['img'], padded['grid_steps']), native['img'])


@pytest.mark.parametrize('mode', ['native', 'upsample', 'pad'])
def test_packed_with_the_spacing_of_the_labels(mode):
    packed = PackVolumeInputs()(SimulateScale(1, mode)(_case()))
    sample = packed['data_samples']
    np.testing.assert_allclose(sample.spacing_mm, (3, 4, 6))
    assert sample.scale_level == 1
    assert sample.ori_shape == tuple(sample.gt_sem_seg.data.shape[1:]) == (8, 12, 4)
    assert tuple(packed['inputs'].shape[1:]) == ((8, 12, 4) if mode == 'native' else (16, 24, 8))


def test_masks():
    label = np.random.default_rng(0).integers(0, 3, (16, 24, 8)).astype(np.uint8)
    case = _case(label=label)
    masks = dict(case, gt_seg_map=np.stack([label == 1, label >= 1]).astype(np.uint8))
    coarse = SimulateScale(1)(dict(case))['gt_seg_map']
    np.testing.assert_array_equal(SimulateScale(1)(masks)['gt_seg_map'], np.stack([coarse == 1, coarse >= 1]))


@pytest.mark.parametrize(('old', 'new'), [((7, 5, 3), (3, 9, 3)), ((8, 8, 8), (2, 2, 2)), ((3, 1, 5), (13, 4, 4))])
def test_step_part_by_part(old, new):
    step = FirstOfBlock(Grid(old, None), Grid(new, None))
    array = np.random.default_rng(0).random((2, *old))
    whole = step.apply(array)
    np.testing.assert_array_equal(whole, resize_labels(array, new, compat=True))
    box = tuple((n // 3, max(n // 3 + 1, n - 1)) for n in new)
    needed = step.needed(box, 'linear')
    part = step.apply_box(array[(..., *(slice(*b) for b in needed))], box, 'linear')
    np.testing.assert_array_equal(part, whole[(..., *(slice(*b) for b in box))])
    for axis, (start, stop) in enumerate(step.covered(((0, 1),) * 3)):
        places = np.arange(new[axis]) * old[axis] // new[axis]
        np.testing.assert_array_equal(np.flatnonzero(places == 0), np.arange(start, stop))
    assert step.covered(tuple((0, n) for n in old)) == tuple((0, n) for n in new)
    assert GridStep.from_dict(json.loads(json.dumps(step.to_dict()))) == step


def test_labels_must_follow():
    results = CropOrPadVolume((8, 8, 8))(
        LoadVolume()(dict(volume=np.zeros((9, 9, 9)), label_volume=np.zeros((9, 9, 9))))
    )
    with pytest.raises(RuntimeError, match='SimulateScale moves image and labels together'):
        SimulateScale(1)(LoadVolumeAnnotations()(results))


@pytest.mark.parametrize('arguments', [dict(level=-1), dict(level=1, mode='crop')])
def test_wrong_arguments(arguments):
    with pytest.raises(ConfigError, match='SimulateScale'):
        SimulateScale(**arguments)
