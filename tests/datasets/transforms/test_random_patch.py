# ruff: noqa: NPY002 - the transform draws from this generator
import numpy as np
import pytest

from mmseg_medical.datasets.patch_sampling import cut_patch, draw_patch
from mmseg_medical.datasets.transforms import RandomPatch


def _sample(label, **more):
    size = label.shape[-3:] if label.ndim > 2 else label.shape
    image = np.arange(np.prod(size), dtype=np.float32).reshape(1, *size)
    return dict(img=image, gt_seg_map=label, affine=np.diag([2.0, 3, 4, 1]), **more)


def _draw(transform, label, number=300, **more):
    np.random.seed(0)
    return [transform(_sample(label, **more)) for _ in range(number)]


def _drawn(results):
    return results['augmentations'][-1]['drawn_class']


def test_patch_holds_the_drawn_class():
    label = np.zeros((23, 31, 19), np.uint8)
    label[3, 5, 7], label[22, 30, 18], label[0, 0, 0] = 1, 2, 255
    for results in _draw(RandomPatch((8, 7, 6), foreground_prob=1.0), label, 100):
        assert results['img'].shape == (1, 8, 7, 6)
        assert results['gt_seg_map'].shape == results['img_shape'] == (8, 7, 6)
        assert (results['gt_seg_map'] == _drawn(results)).any()
        start = results['augmentations'][-1]['start']
        box = tuple(slice(a, a + n) for a, n in zip(start, (8, 7, 6), strict=True))
        np.testing.assert_array_equal(results['img'][0], _sample(label)['img'][0][box])
        np.testing.assert_array_equal(results['gt_seg_map'], label[box])
        np.testing.assert_allclose(results['affine'][:3, 3], np.array(start) * (2, 3, 4))
        np.testing.assert_allclose(results['affine'][:3, :3], np.diag((2, 3, 4)))


def test_classes_are_drawn_evenly_whatever_their_size():
    label = np.zeros((30, 30, 30), np.uint8)
    label[5:25, 5:25, 5:25] = 1
    label[29, 0, 29] = 4
    drawn = [_drawn(results) for results in _draw(RandomPatch((9, 9, 9), 1.0), label, 600)]
    assert set(drawn) == {1, 4}
    assert 240 < drawn.count(4) < 360


def test_weights_of_classes():
    label = np.zeros((12, 12, 12), np.uint8)
    label[1], label[5], label[9] = 1, 2, 3
    drawn = [_drawn(results) for results in _draw(RandomPatch((4, 4, 4), 1.0, {1: 3.0, 3: 1.0}), label, 400)]
    assert set(drawn) == {1, 3}
    assert 260 < drawn.count(1) < 340
    drawn = [_drawn(results) for results in _draw(RandomPatch((4, 4, 4), 1.0, [0, 0, 1]), label, 20)]
    assert set(drawn) == {2}
    drawn = [_drawn(results) for results in _draw(RandomPatch((4, 4, 4), 1.0, {7: 1}), label, 20)]
    assert set(drawn) == {None}


def test_position_in_the_patch_is_uniform():
    label = np.zeros((61, 61, 61), np.uint8)
    label[30, 30, 30] = 3
    starts = np.array([r['augmentations'][-1]['start'] for r in _draw(RandomPatch((10, 10, 10), 1.0), label, 1500)])
    for start in starts.T:
        counts = np.bincount(30 - start, minlength=10)
        assert len(counts) == 10
        assert counts.min() > 105  # 150 expected


def test_every_start_is_reached():
    starts = {r['augmentations'][-1]['start'][0] for r in _draw(RandomPatch((5, 5, 5), 0.0), np.zeros((9, 5, 5), int))}
    assert starts == set(range(5))


def test_probability():
    label = np.zeros((20, 20, 20), np.uint8)
    label[10, 10, 10] = 1
    drawn = [_drawn(results) for results in _draw(RandomPatch((5, 5, 5), 0.3), label, 1000)]
    assert 0.25 < np.mean([k is not None for k in drawn]) < 0.35


def test_masks():
    label = np.zeros((3, 11, 13, 7), np.uint8)
    label[0, 7, 9, 1] = label[2, 7, 9, 1] = 1
    label[1] = 255
    drawn = set()
    for results in _draw(RandomPatch((5, 3, 4), 1.0), label, 50):
        assert results['gt_seg_map'].shape == (3, 5, 3, 4)
        assert (results['gt_seg_map'][_drawn(results)] == 1).any()
        drawn.add(_drawn(results))
    assert drawn == {0, 2}


def test_planes():
    label = np.zeros((17, 23), np.uint8)
    label[3, 4] = 2
    for results in _draw(RandomPatch((8, 8), 1.0), label, 50):
        assert results['img'].shape == (1, 8, 8)
        assert (results['gt_seg_map'] == 2).any()


@pytest.mark.parametrize('size', [(3, 20, 5), (1, 1, 1), (7, 7, 7), (20, 1, 20)])
def test_volumes_smaller_than_the_patch(size):
    label = np.zeros(size, np.uint8)
    label[-1, -1, -1] = 1
    starts = set()
    for results in _draw(RandomPatch((7, 7, 7), 1.0, pad_val=-1, seg_pad_val=255), label, 60):
        assert results['img'].shape == (1, 7, 7, 7)
        inside = results['img'][0] >= 0
        assert inside.sum() == np.prod(np.minimum(size, 7))
        assert (results['gt_seg_map'][inside] != 255).all()
        assert (results['gt_seg_map'][~inside] == 255).all()
        assert (results['gt_seg_map'] == 1).any()
        starts.add(tuple(results['augmentations'][-1]['start']))
    assert len(starts) > 1 or size == (7, 7, 7)


def test_without_foreground_and_without_labels():
    assert {_drawn(r) for r in _draw(RandomPatch((3, 3, 3), 1.0), np.zeros((9, 9, 9), np.uint8), 20)} == {None}
    sample = _sample(np.zeros((9, 9, 9), np.uint8))
    del sample['gt_seg_map'], sample['affine']
    results = RandomPatch((3, 3, 3), 1.0)(sample)
    assert _drawn(results) is None
    assert 'gt_seg_map' not in results


def test_given_locations_draw_what_the_search_draws():
    label = np.random.default_rng(0).integers(0, 4, (11, 9, 10)).astype(np.uint8)
    locations = {k: np.argwhere(label == k) for k in (3, 1, 2)}
    transform = RandomPatch((4, 5, 6), 0.7)
    for searched, given in zip(
        _draw(transform, label, 40), _draw(transform, label, 40, class_locations=locations), strict=True
    ):
        assert searched['augmentations'] == given['augmentations']
        assert 'class_locations' not in given


def test_only_the_locations_decide():
    label = np.ones((9, 9, 9), np.uint8)
    for locations in ({}, {1: np.empty((0, 3), int)}):
        drawn = {_drawn(r) for r in _draw(RandomPatch((3, 3, 3), 1.0), label, 9, class_locations=locations)}
        assert drawn == {None}


@pytest.mark.parametrize('view', ['reversed', 'transposed', 'fortran'])
def test_strides(view):
    label = np.random.default_rng(0).integers(0, 3, (9, 9, 9)).astype(np.uint8)
    same = {
        'reversed': label[::-1].copy()[::-1],
        'transposed': label.T.copy().T,
        'fortran': np.asfortranarray(label),
    }[view]
    transform = RandomPatch((4, 4, 4), 1.0)
    for plain, other in zip(_draw(transform, label, 20), _draw(transform, same, 20), strict=True):
        np.testing.assert_array_equal(plain['gt_seg_map'], other['gt_seg_map'])
        assert other['gt_seg_map'].flags.c_contiguous


def test_inputs_are_not_edited():
    sample = _sample(np.ones((9, 9, 9), np.uint8), augmentations=[])
    image, steps = sample['img'], sample['augmentations']
    results = RandomPatch((9, 9, 9))(dict(sample))
    results['img'][:] = -1
    results['gt_seg_map'][:] = 0
    assert image.min() == 0
    assert sample['gt_seg_map'].all()
    assert steps == []


def test_wide_labels():
    label = np.zeros((5, 5, 5), np.uint16)
    label[2, 2, 2] = 40000
    assert _drawn(_draw(RandomPatch((3, 3, 3), 1.0), label, 1)[0]) == 40000


@pytest.mark.parametrize(
    'arguments',
    [dict(patch_size=(0, 5, 5)), dict(patch_size=(5, 5, 5), foreground_prob=1.5), dict(patch_size=(5,))],
)
def test_wrong_arguments(arguments):
    with pytest.raises(ValueError, match='two or three positive numbers'):
        RandomPatch(**arguments)


@pytest.mark.parametrize('weights', [{}, {1: -1, 2: 3}, [0, 0]])
def test_wrong_weights(weights):
    with pytest.raises(ValueError, match='weights that are not negative'):
        RandomPatch((3, 3, 3), class_probs=weights)


def test_rank_of_the_patch():
    with pytest.raises(ValueError, match='is for 2 axes'):
        RandomPatch((3, 3))(_sample(np.zeros((9, 9, 9), np.uint8)))


def test_draw_and_cut_agree_on_any_rank():
    np.random.seed(0)
    for size, patch in (((6,), (9,)), ((5, 4, 3, 2), (2, 5, 3, 1))):
        array = np.arange(1, 1 + np.prod(size)).reshape(size)
        place = draw_patch(size, patch, None)
        assert cut_patch(array, place.start, patch).shape == patch
        assert set(np.unique(cut_patch(array, place.start, patch))) <= {0, *array.ravel()}


def test_patch_beside_the_volume_is_filled():
    assert (cut_patch(np.ones((2, 4, 4)), (4, -9), (3, 3), 5) == 5).all()
