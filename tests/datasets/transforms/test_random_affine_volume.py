# ruff: noqa: NPY002 - the transform draws from this generator
import json

import numpy as np
import pytest
import torch
from scipy import ndimage
from scipy.interpolate import BSpline

from mmseg_medical.datasets.transforms import RandomAffineVolume
from mmseg_medical.datasets.transforms.random_affine_volume import rotation, source_places, spline_weights
from mmseg_medical.errors import ConfigError


def _sample(size=(9, 11, 7), spacing=(1.0, 1.0, 1.0)):
    rng = np.random.default_rng(0)
    image = ndimage.gaussian_filter(rng.normal(size=(2, *size)), (0, *(1,) * len(size))).astype(np.float32)
    return dict(
        img=image,
        gt_seg_map=rng.integers(0, 5, size).astype(np.uint8),
        spacing_mm=spacing[: len(size)],
        augmentations=[],
    )


def _record(rank=3, **changes):
    return {
        'type': 'RandomAffineVolume',
        'degrees': [0.0] * (3 if rank == 3 else 1),
        'scales': [1.0] * rank,
        'shift': [0.0] * rank,
        'elastic_seed': None,
        'control_points': 7,
        'max_displacement_mm': 3.0,
        'pad_val': 0.0,
        'seg_pad_val': 0,
        **changes,
    }


def _replay(sample, **changes):
    return RandomAffineVolume.replay(dict(sample), _record(sample['img'].ndim - 1, **changes))


@pytest.mark.parametrize('size', [(9, 11, 7), (1, 8, 5), (13, 6), (1, 1, 1)])
def test_identity(size):
    sample = _sample(size)
    results = _replay(sample)
    np.testing.assert_allclose(results['img'], sample['img'], atol=1e-5)
    np.testing.assert_array_equal(results['gt_seg_map'], sample['gt_seg_map'])
    assert results['gt_seg_map'].dtype == np.uint8


@pytest.mark.parametrize('axis', [0, 1, 2])
def test_quarter_turns(axis):
    sample = _sample((9, 9, 9))
    degrees = [0.0] * 3
    degrees[axis] = 90.0
    plane = [(1, 2), (2, 0), (0, 1)][axis]
    results = _replay(sample, degrees=degrees)
    np.testing.assert_array_equal(results['gt_seg_map'], np.rot90(sample['gt_seg_map'], axes=plane))
    np.testing.assert_allclose(results['img'], np.rot90(sample['img'], axes=(plane[0] + 1, plane[1] + 1)), atol=1e-4)


def test_quarter_turn_of_anisotropic_voxels():
    # of 3 x 9 voxels of 3 x 1 mm the field of view is a square, and so is its turned image
    label = np.kron(np.arange(9).reshape(3, 3), np.ones((1, 3), int)).astype(np.uint8)
    sample = dict(img=np.zeros((1, 3, 9), np.float32), gt_seg_map=label, spacing_mm=(3.0, 1.0))
    turned = _replay(sample, degrees=[90.0])['gt_seg_map']
    np.testing.assert_array_equal(turned[:, 1::3], np.rot90(label[:, 1::3]))


def test_content_moves_by_the_shift():
    sample = _sample()
    results = _replay(sample, shift=[2.0, -1.0, 0.0], pad_val=-9.0, seg_pad_val=255)
    np.testing.assert_array_equal(results['gt_seg_map'][2:, :-1], sample['gt_seg_map'][:-2, 1:])
    np.testing.assert_allclose(results['img'][:, 2:, :-1], sample['img'][:, :-2, 1:], atol=1e-5)
    assert (results['gt_seg_map'][:2] == 255).all()
    np.testing.assert_allclose(results['img'][:, :2], -9, atol=1e-5)


def test_lowest_value_outside():
    sample = _sample()
    results = _replay(sample, shift=[20.0, 0, 0], pad_val=None)
    for channel, source in zip(results['img'], sample['img'], strict=True):
        np.testing.assert_allclose(channel, source.min(), atol=1e-6)


def test_magnification():
    label = np.zeros((15, 15, 15), np.uint8)
    label[6:9, 6:9, 6:9] = 1
    sample = dict(img=label[None].astype(np.float32), gt_seg_map=label)
    assert _replay(sample, scales=[3.0, 1.0, 1.0])['gt_seg_map'].sum() == 9 * 3 * 3


@pytest.mark.parametrize(('size', 'spacing'), [((9, 11, 7), (1.0, 2.0, 0.5)), ((17, 13), (0.7, 1.3))])
def test_lookup_as_scipy_does_it(size, spacing):
    sample = _sample(size, spacing)
    np.random.seed(3)
    results = RandomAffineVolume(20, (0.7, 1.4), shift=2, prob=1, elastic_prob=1, max_displacement_mm=1)(dict(sample))
    places = source_places(size, np.array(spacing), results['augmentations'][0]).double().numpy()
    for channel, source in zip(results['img'], sample['img'], strict=True):
        expected = ndimage.map_coordinates(source.astype(np.float64), places, order=1, mode='grid-constant')
        np.testing.assert_allclose(channel, expected, atol=1e-4)
    expected = ndimage.map_coordinates(sample['gt_seg_map'], np.rint(places), order=0, mode='grid-constant')
    assert (results['gt_seg_map'] != expected).mean() < 2e-3  # ties
    assert set(np.unique(results['gt_seg_map'])) <= set(range(5))


def test_rotations_are_rigid_in_millimetres():
    size, spacing = (5, 6, 7), np.array([1.0, 2.0, 3.0])
    places = source_places(size, spacing, _record(degrees=[10.0, -20.0, 30.0], shift=[1.0, 2.0, 3.0])).double().numpy()
    ours = places.reshape(3, -1) * spacing[:, None]
    theirs = np.indices(size).reshape(3, -1) * spacing[:, None]
    for a, b in ((0, 200), (5, 77), (13, 150)):
        assert np.linalg.norm(ours[:, a] - ours[:, b]) == pytest.approx(
            np.linalg.norm(theirs[:, a] - theirs[:, b]), 1e-5
        )


def test_rotation_is_orthogonal():
    for angles in ([0.3], [0.1, -0.7, 2.0]):
        matrix = rotation(np.array(angles))
        np.testing.assert_allclose(matrix @ matrix.T, np.eye(len(matrix)), atol=1e-12)
        assert np.linalg.det(matrix) == pytest.approx(1)


@pytest.mark.parametrize(('length', 'points'), [(1, 4), (10, 4), (13, 7), (5, 9)])
def test_splines(length, points):
    weights = spline_weights(length, points).numpy()
    np.testing.assert_allclose(weights.sum(axis=1), 1, atol=1e-6)
    knots = np.arange(-3, points + 1)
    places = (np.arange(length) + 0.5) / length * (points - 3)
    for k in range(points):
        one = BSpline(knots, np.eye(points)[k], 3)
        np.testing.assert_allclose(weights[:, k], one(places), atol=1e-6)


def test_displacement_is_bounded_and_in_millimetres():
    size, spacing = (12, 10, 8), np.array([1.0, 2.0, 4.0])
    places = source_places(size, spacing, _record(elastic_seed=5, max_displacement_mm=2.0)).numpy()
    moved = (places - np.indices(size)) * spacing[:, None, None, None]
    assert np.abs(moved).max() <= 2
    assert np.abs(moved).max(axis=(1, 2, 3)).min() > 0.3


@pytest.mark.parametrize('size', [(9, 11, 7), (13, 6)])
def test_replay_after_json(size):
    np.random.seed(0)
    sample = _sample(size)
    before = {key: sample[key].copy() for key in ('img', 'gt_seg_map')}
    results = RandomAffineVolume(prob=1, elastic_prob=1, pad_val=None)(dict(sample))
    (record,) = json.loads(json.dumps(results['augmentations']))
    again = RandomAffineVolume.replay(dict(sample), record)
    for key, array in before.items():
        np.testing.assert_array_equal(again[key], results[key])
        np.testing.assert_array_equal(sample[key], array)
        assert results[key].flags.c_contiguous


def test_masks_follow_the_labels():
    sample = _sample()
    label = sample['gt_seg_map']
    masks = np.stack([label == k for k in range(1, 5)]).astype(np.uint8)
    turned = _replay(sample, degrees=[15.0, 5, 0])['gt_seg_map']
    np.testing.assert_array_equal(
        _replay(dict(sample, gt_seg_map=masks), degrees=[15.0, 5, 0])['gt_seg_map'],
        np.stack([turned == k for k in range(1, 5)]),
    )


def test_probabilities_and_the_global_generator():
    np.random.seed(0)
    torch.manual_seed(0)
    state = torch.get_rng_state()
    transform = RandomAffineVolume(prob=0.5, elastic_prob=0.25, shift=1)
    kinds = [
        ('none',) if not a else (a[0]['shift'] != [0, 0, 0], a[0]['elastic_seed'] is not None)
        for a in (transform(_sample((3, 3, 3)))['augmentations'] for _ in range(300))
    ]
    for kind, share in ((('none',), 0.375), ((True, False), 0.375), ((False, True), 0.125), ((True, True), 0.125)):
        assert abs(kinds.count(kind) / 300 - share) < 0.08
    assert torch.equal(state, torch.get_rng_state())


def test_ranges():
    np.random.seed(0)
    transform = RandomAffineVolume((5, 0, 20), (0.5, 2), shift=(1, 2, 0), prob=1, isotropic=True)
    records = [transform(_sample((2, 2, 2)))['augmentations'][0] for _ in range(200)]
    degrees, scales, shifts = (np.array([r[key] for r in records]) for key in ('degrees', 'scales', 'shift'))
    assert (np.abs(degrees).max(axis=0) <= (5, 0, 20)).all()
    assert np.abs(degrees[:, 2]).max() > 15
    assert (scales == scales[:, :1]).all()
    assert scales.min() >= 0.5
    assert scales.max() <= 2
    assert 0.35 < (scales[:, 0] < 1).mean() < 0.65
    assert (np.abs(shifts).max(axis=0) <= (1, 2, 0)).all()


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (dict(prob=2), 'prob and elastic_prob'),
        (dict(scales=(0, 1)), 'range of positive numbers'),
        (dict(control_points=3), 'at least 4'),
    ],
)
def test_wrong_arguments(arguments, message):
    with pytest.raises(ConfigError, match=message):
        RandomAffineVolume(**arguments)
