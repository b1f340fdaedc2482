"""Surface distances and metrics in closed form, against distance transforms, and their properties."""

import math
import re

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from mmseg_medical.evaluation.functional import assd, hausdorff, masd, nsd, surface_distances
from mmseg_medical.evaluation.functional.surface import nearest as nearest_module
from mmseg_medical.ops import threads

SURFACES = ('voxel', 'surfel')


def blob(shape, seed, share=0.3, sigma=1.5):
    field = ndimage.gaussian_filter(np.random.default_rng(seed).normal(size=shape), sigma)
    return field >= np.quantile(field, 1 - share)


def voxels(shape, *indices):
    mask = np.zeros(shape, bool)
    for index in indices:
        mask[index] = True
    return mask


def distances(pred, target, **options):
    return surface_distances(pred, target, 2, **options)[1]


def by_transform(pred, target, spacing):
    """Distances by erosion and Euclidean distance transform of the whole grid."""
    cross = ndimage.generate_binary_structure(pred.ndim, 1)
    borders = [mask & ~ndimage.binary_erosion(mask, cross) for mask in (pred, target)]
    to_border = [ndimage.distance_transform_edt(~border, sampling=spacing) for border in borders]
    return to_border[1][borders[0]], to_border[0][borders[1]]


def test_two_voxels_two_mm_apart():
    d = distances(voxels((4, 4, 5), (1, 1, 1)), voxels((4, 4, 5), (1, 1, 3)), spacing_mm=(5, 3, 1))
    assert d.pred_to_target_mm.tolist() == d.target_to_pred_mm.tolist() == [2]
    assert d.pred_areas is None
    assert d.target_areas is None
    assert [hausdorff(d), hausdorff(d, 95), hausdorff(d, 95, 'pooled'), assd(d), masd(d)] == [2] * 5
    assert [nsd(d, 1.99), nsd(d, 2), nsd(d, 0)] == [0, 1, 0]


@pytest.mark.parametrize('surface', SURFACES)
@pytest.mark.parametrize(('axis', 'spacing'), [(0, (2.5, 1, 1)), (1, (1, 0.7, 3)), (2, (1, 1, 0.25))])
def test_parallel_plates(surface, axis, spacing):
    pred, target = np.zeros((2, 9, 9, 9), bool)
    first, second = [slice(None)] * 3, [slice(None)] * 3
    first[axis], second[axis] = slice(2, 3), slice(6, 7)
    pred[tuple(first)], target[tuple(second)] = True, True
    d = distances(pred, target, spacing_mm=spacing, surface=surface)
    gap = 4 * spacing[axis]
    if surface == 'voxel':
        assert set(d.pred_to_target_mm) == set(d.target_to_pred_mm) == {gap}
        assert len(d.pred_to_target_mm) == 81
    else:  # two sides each; the near side of one plate is nearer to the other plate than the far side
        assert d.pred_to_target_mm.max() == gap
        assert d.pred_to_target_mm.min() == 3 * spacing[axis]
    assert hausdorff(d) == gap


def test_unequal_surfaces_weigh_by_size_in_assd_and_alike_in_masd():
    pred = voxels((1, 12), (0, 0))
    target = voxels((1, 12), (0, 0), (0, 4), (0, 10))
    d = distances(pred, target)
    assert sorted(d.target_to_pred_mm) == [0, 4, 10]
    assert assd(d) == pytest.approx(14 / 4)
    assert masd(d) == pytest.approx((0 + 14 / 3) / 2)
    assert hausdorff(d) == 10
    assert hausdorff(d, 50) == 4  # the larger of 0 and 4
    assert hausdorff(d, 50, 'pooled') == 2  # the median of 0, 0, 4, 10
    assert hausdorff(d, 95) == pytest.approx(4 + 0.9 * 6)
    assert hausdorff(d, 0) == 0
    assert nsd(d, 4) == pytest.approx(3 / 4)


@pytest.mark.parametrize('surface', SURFACES)
def test_concentric_spheres(surface):
    grid = np.indices((45, 45, 45)) - 22
    radius = np.sqrt((grid**2).sum(0))
    d = distances(radius <= 12, radius <= 18, surface=surface)
    assert hausdorff(d) == pytest.approx(6, abs=1)
    assert assd(d) == pytest.approx(6, abs=0.6)
    assert nsd(d, 4) == 0
    assert nsd(d, 8) == 1
    if surface == 'surfel':
        assert d.pred_areas.sum() == pytest.approx(4 * math.pi * 12**2, rel=0.12)


def test_surfels_of_a_single_voxel():
    d = distances(voxels((3, 3, 3), (1, 1, 1)), voxels((3, 3, 3), (1, 1, 1)), surface='surfel')
    assert len(d.pred_areas) == 8
    np.testing.assert_allclose(d.pred_areas, math.sqrt(3) / 8)  # triangles through three edge midpoints
    assert nsd(d, 0) == 1
    d = distances(voxels((3, 3), (1, 1)), voxels((3, 3), (1, 1)), surface='surfel', spacing_mm=(3, 4))
    np.testing.assert_allclose(d.pred_areas, [2.5] * 4)


def test_percentile_of_surfels_is_a_share_of_the_area():
    d = distances(voxels((3, 40), (1, 2)), voxels((3, 40), (1, 2), (1, 30)), surface='surfel')
    # half of the target's contour is at 0, half of it 28 or 27 away
    assert sorted(d.target_to_pred_mm) == [0, 0, 0, 0, 27, 27, 28, 28]
    assert hausdorff(d, 49) == 0
    assert hausdorff(d, 51) == 27
    assert hausdorff(d, 74) == 27
    assert hausdorff(d, 76) == 28
    assert hausdorff(d, 66, 'pooled') == 0
    assert hausdorff(d, 67, 'pooled') == 27


SHAPES = [
    ((17, 23, 31), (1, 1, 1)),
    ((5, 40, 33), (5, 0.5, 0.7)),
    ((64, 1, 9), (1, 3, 2)),
    ((1, 29, 31), (1, 1, 1)),
    ((1, 1, 50), (1, 1, 0.3)),
    ((37, 41), (1, 2)),
    ((1, 53), (1, 1)),
    ((53, 1), (0.1, 9)),
]


@pytest.mark.parametrize(('shape', 'spacing'), SHAPES)
@pytest.mark.parametrize('seed', [0, 1])
def test_voxels_agree_with_distance_transforms(shape, spacing, seed):
    pred, target = blob(shape, seed), blob(shape, seed + 10, share=0.1)
    d = distances(pred, target, spacing_mm=spacing)
    expected = by_transform(pred, target, spacing)
    np.testing.assert_allclose(d.pred_to_target_mm, expected[0], rtol=0, atol=1e-12)
    np.testing.assert_allclose(d.target_to_pred_mm, expected[1], rtol=0, atol=1e-12)


@pytest.mark.parametrize('num_threads', [1, 2, 3])
def test_large_and_far_surfaces_in_several_threads(monkeypatch, num_threads):
    monkeypatch.setattr(nearest_module, '_SITES_A_TASK', 500)
    pred, target = np.zeros((2, 70, 80, 90), np.uint8)
    pred[:30][blob((30, 80, 90), 0)] = 1
    target[60:68, 70:, 80:] = 1
    pred[35:60][blob((25, 80, 90), 1)] = 2
    target[blob((70, 80, 90), 2, share=0.02)] = 2
    found = surface_distances(pred, target, 3, spacing_mm=(1, 0.5, 2), num_threads=num_threads)
    for k in (1, 2):
        expected = by_transform(pred == k, target == k, (1, 0.5, 2))
        np.testing.assert_allclose(found[k].pred_to_target_mm, expected[0], rtol=0, atol=1e-12)
        np.testing.assert_allclose(found[k].target_to_pred_mm, expected[1], rtol=0, atol=1e-12)


def test_sites_in_the_first_and_in_the_last_leaf_of_a_branch():
    shape, last = (64, 64, 64), 63
    d = distances(voxels(shape, (0, 0, 0), (last, last, last)), voxels(shape, (last, last, last - 1)))
    assert d.target_to_pred_mm.tolist() == [1]
    assert sorted(d.pred_to_target_mm) == pytest.approx([1, math.sqrt(63**2 + 63**2 + 62**2)])


@pytest.mark.parametrize('surface', SURFACES)
@pytest.mark.parametrize('shape', [(19, 23), (9, 14, 11)])
def test_all_classes_at_once_are_each_class_alone(surface, shape):
    pred, target = (np.random.default_rng(s).integers(0, 5, shape) * blob(shape, s, 0.5) for s in (0, 1))
    target[target == 4] = 0
    found = surface_distances(pred, target, 6, surface=surface)
    assert list(found) == [1, 2, 3, 4, 5]
    assert [d.state for d in found.values()] == ['valid', 'valid', 'valid', 'false_alarm', 'empty']
    masks = surface_distances(
        np.stack([pred == k for k in range(1, 6)]),
        np.stack([target == k for k in range(1, 6)]),
        multilabel=True,
        surface=surface,
    )
    assert list(masks) == [0, 1, 2, 3, 4]
    for k, d in found.items():
        alone = distances(pred == k, target == k, surface=surface)
        for other in (alone, masks[k - 1]):
            for name in ('pred_to_target_mm', 'target_to_pred_mm', 'pred_areas', 'target_areas'):
                np.testing.assert_array_equal(getattr(d, name), getattr(other, name))
            assert other.state == d.state
            assert other.diagonal_mm == d.diagonal_mm


def test_masks_that_touch_or_fill_the_grid_have_a_surface_there():
    full, inner = np.ones((5, 6), bool), voxels((5, 6), (2, 2))
    d = distances(full, inner)
    assert len(d.pred_to_target_mm) == 18  # the outer ring
    assert hausdorff(d) == pytest.approx(math.hypot(2, 3))
    for surface in SURFACES:
        d = distances(full, full, surface=surface)
        assert hausdorff(d) == 0
    assert d.pred_areas.sum() == pytest.approx(2 * (4 + 5) + 4 * math.sqrt(0.5))
    solid = distances(np.ones((3, 3, 3), bool), np.ones((3, 3, 3), bool))
    assert len(solid.pred_to_target_mm) == 26


@pytest.mark.parametrize(
    ('pred', 'target', 'state', 'worst', 'infinite'),
    [(0, 1, 'missed', 13, math.inf), (1, 0, 'false_alarm', 13, math.inf), (0, 0, 'empty', math.nan, math.nan)],
)
@pytest.mark.parametrize('surface', SURFACES)
def test_empty_masks(pred, target, state, worst, infinite, surface):
    shape = (3, 4, 12)
    masks = [voxels(shape, (1, 1, 1)) if some else np.zeros(shape, bool) for some in (pred, target)]
    d = distances(*masks, surface=surface)
    assert d.state == state
    assert d.diagonal_mm == 13
    assert d.pred_to_target_mm.shape == d.target_to_pred_mm.shape == (0,)
    for metric in (hausdorff, lambda d, **e: hausdorff(d, 95, 'pooled', **e), assd, masd):
        np.testing.assert_equal(metric(d), worst)
        np.testing.assert_equal(metric(d, empty='infinite'), infinite)
        np.testing.assert_equal(metric(d, empty='perfect'), 0 if state == 'empty' else worst)
        assert math.isnan(metric(d, empty='exclude'))
    np.testing.assert_equal(nsd(d, 1), math.nan if state == 'empty' else 0)
    np.testing.assert_equal(nsd(d, 1, empty='perfect'), 1 if state == 'empty' else 0)


def test_diagonal_is_in_mm():
    assert distances(np.zeros((3, 4)), np.zeros((3, 4)), spacing_mm=(10, 10)).diagonal_mm == 50


def test_grids_without_pixels():
    d = distances(np.zeros((0, 4), np.uint8), np.zeros((0, 4), np.uint8))
    assert (d.state, d.diagonal_mm) == ('empty', 4)


def test_arrays_are_not_printed():
    d = distances(np.zeros((3, 4)), np.zeros((3, 4)))
    assert repr(d) == "SurfaceDistances(state='empty', diagonal_mm=5.0)"


@pytest.mark.parametrize(
    ('spacing', 'rank', 'edges'),
    [
        ((1, 1, 1), 3, [8, 8, 8]),
        ((4, 1, 2), 3, [4, 16, 8]),
        ((1000, 1, 1), 3, [1, 80, 80]),  # never less than a voxel
        ((1, 1, 4), 2, [32, 32, 8]),  # the first axis has no part in the mean
    ],
)
def test_leaves_have_about_equal_edges_in_mm(spacing, rank, edges):
    found = nearest_module._leaf_edges(spacing, rank)
    assert found.dtype == np.int64
    assert found.tolist() == edges


def test_parts_of_the_work(monkeypatch):
    monkeypatch.setattr(nearest_module, '_SITES_A_TASK', 10)
    points = np.zeros((3, 40), np.int32)
    points[2] = range(40)
    tree = nearest_module._plant(points, np.array([8, 8, 8]))
    assert tree.leaves.tolist() == [0, 8, 16, 24, 32, 40]
    assert nearest_module._parts(tree, 1) == [(0, 5)]
    assert nearest_module._parts(tree, 2) == [(0, 2), (2, 3), (3, 4), (4, 5)]


@pytest.mark.parametrize('dtype', ['bool', 'float16', 'float64', 'int8', 'uint16', 'int64'])
def test_every_type_and_layout(dtype):
    pred, target = blob((9, 10, 11), 0), blob((9, 10, 11), 1)
    expected = distances(pred, target)
    for form in (
        lambda m: m.astype(dtype),
        lambda m: np.asfortranarray(m.astype(dtype)),
        lambda m: np.flip(np.flip(m).copy().astype(dtype)),
        lambda m: np.repeat(m.astype(dtype), 2, axis=1)[:, ::2],
    ):
        found = distances(form(pred), form(target))
        np.testing.assert_array_equal(found.pred_to_target_mm, expected.pred_to_target_mm)
    tensors = [torch.from_numpy(m.astype('uint8')).to(torch.int64) for m in (pred, target)]
    np.testing.assert_array_equal(distances(*tensors).target_to_pred_mm, expected.target_to_pred_mm)


def test_inputs_are_not_changed():
    pred, target = (blob((8, 9), s).astype(np.uint8) for s in (0, 1))
    target[0, 0] = 255
    copies = pred.copy(), target.copy()
    distances(pred, target)
    np.testing.assert_array_equal(pred, copies[0])
    np.testing.assert_array_equal(target, copies[1])


def test_ignored_pixels_are_background_in_both_masks():
    pred, target = voxels((1, 20), (0, 2), (0, 15)).astype(int), voxels((1, 20), (0, 3)).astype(int)
    target[0, 15] = 255
    assert hausdorff(distances(pred, target)) == 1
    target[0, 15] = 254
    assert hausdorff(distances(pred, target, ignore_index=254)) == 1
    with pytest.raises(ValueError, match=re.escape('target holds labels outside 0..1: 254 (1 px)')):
        distances(pred, target)
    target[0, 15] = 1
    assert hausdorff(distances(pred, target, ignore_index=None)) == 1
    both = surface_distances(pred, np.where(target, 2, 0), 3, ignore_index=2)
    assert [d.state for d in both.values()] == ['false_alarm', 'empty']


def test_more_labels_than_a_byte():
    pred, target = np.zeros((2, 6, 7), np.int64)
    pred[1, 1], target[4, 5] = 300, 300
    pred[5, 0] = target[5, 0] = 256
    found = surface_distances(pred, target, 301)
    assert hausdorff(found[300]) == 5
    assert hausdorff(found[256]) == 0
    assert len(found) == 300
    assert found[255].state == 'empty'


masks = st.tuples(st.sampled_from([(7, 11), (4, 6, 5)]), st.integers(0, 10**6)).map(
    lambda drawn: [blob(drawn[0], drawn[1] + n, share=0.2 + 0.2 * n, sigma=0.7) for n in (0, 1)]
)


@settings(max_examples=15, deadline=None)
@given(masks, st.sampled_from(SURFACES))
def test_properties(pair, surface):
    pred, target = pair
    spacing = (0.7, 1.3, 2.1)[: pred.ndim]

    def scores(a, b, s=spacing):
        d = distances(a, b, spacing_mm=s, surface=surface)
        return np.array([hausdorff(d), hausdorff(d, 90), hausdorff(d, 90, 'pooled'), assd(d), masd(d), nsd(d, 1.0)])

    ours = scores(pred, target)
    np.testing.assert_allclose(scores(target, pred), ours, atol=1e-12)  # symmetric
    np.testing.assert_allclose(scores(pred, pred), [0, 0, 0, 0, 0, 1])
    shifted = [np.pad(m, [(3, 1)] + [(0, 2)] * (m.ndim - 1)) for m in pair]
    np.testing.assert_allclose(scores(*shifted), ours, atol=1e-12)  # translated
    doubled = scores(pred, target, tuple(2 * s for s in spacing))
    np.testing.assert_allclose(doubled[:5], 2 * ours[:5], atol=1e-12)
    order = tuple(np.roll(np.arange(pred.ndim), 1))
    turned = scores(pred.transpose(order), target.transpose(order), tuple(spacing[a] for a in order))
    if surface == 'voxel':
        np.testing.assert_allclose(turned, ours, atol=1e-12)
    mirrored = scores(pred[::-1], target[::-1])
    np.testing.assert_allclose(mirrored[0], ours[0], atol=1e-12)


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        ({'spacing_mm': (1, 0)}, 'spacing_mm must be positive and finite along each axis, got (1.0, 0.0)'),
        ({'spacing_mm': (1, -2)}, 'spacing_mm must be positive'),
        ({'spacing_mm': (1, 1, 1)}, 'spacing_mm must have one number for each of the 2 axes, got (1.0, 1.0, 1.0)'),
        ({'surface': 'mesh'}, "surface must be one of voxel, surfel, got 'mesh'"),
        ({'num_classes': None}, 'num_classes of label maps must be at least 1, got None'),
        ({'num_classes': 0}, 'num_classes of label maps must be at least 1, got 0'),
        ({'num_classes': 1}, 'pred holds labels outside 0..0: 1 (1 px); num_classes=1, ignore_index=255'),
        ({'target': np.zeros((4, 3))}, 'pred and target must have one shape, got (3, 4) and (4, 3)'),
        ({'pred': np.zeros(3), 'target': np.zeros(3)}, 'label maps (H, W) or (D, H, W), got the shape (3,)'),
        ({'multilabel': True}, 'masks (C, H, W) or (C, D, H, W), got the shape (3, 4)'),
        ({'pred': np.full((3, 4), 0.5)}, 'pred must hold integer labels, got torch.float64 with 12 values such as 0.5'),
        ({'target': np.full((3, 4), -1)}, 'target holds labels outside 0..1: -1 (12 px)'),
    ],
)
def test_wrong_arguments(options, message):
    arguments = {'pred': voxels((3, 4), (1, 1)), 'target': voxels((3, 4), (1, 2)), 'num_classes': 2, **options}
    with pytest.raises(ValueError, match=re.escape(message)):
        surface_distances(**arguments)


def test_wrong_masks():
    two = np.zeros((2, 3, 4), np.uint8)
    with pytest.raises(ValueError, match='num_classes is 3, but there are 2 masks'):
        surface_distances(two, two, 3, multilabel=True)
    assert len(surface_distances(two, two, 2, multilabel=True)) == 2
    assert surface_distances(two[:0], two[:0], multilabel=True) == {}


@pytest.mark.parametrize(
    ('call', 'message'),
    [
        (lambda d: hausdorff(d, 100.1), 'percentile must lie in 0..100, got 100.1'),
        (lambda d: hausdorff(d, -1), 'percentile must lie in 0..100, got -1'),
        (lambda d: hausdorff(d, math.nan), 'percentile must lie in 0..100, got nan'),
        (lambda d: hausdorff(d, 95, 'mean'), "pooling must be one of max, pooled, got 'mean'"),
        (lambda d: hausdorff(d, 95, empty='none'), 'empty must be one of strict'),
        (lambda d: nsd(d, -0.1), 'tolerance_mm must be 0 or more, got -0.1'),
        (lambda d: nsd(d, math.nan), 'tolerance_mm must be 0 or more, got nan'),
    ],
)
def test_wrong_arguments_of_metrics(call, message):
    d = distances(np.zeros((3, 4)), np.zeros((3, 4)))
    with pytest.raises(ValueError, match=re.escape(message)):
        call(d)


def test_tasks_return_in_order_from_several_threads():
    assert threads.run_all([lambda n=n: n * n for n in range(20)], 3) == [n * n for n in range(20)]
    assert threads.run_all([], 2) == []
    with pytest.raises(ZeroDivisionError):
        threads.run_all([lambda: 1 // 0], 2)
