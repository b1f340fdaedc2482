import re
import sys

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from mmseg_medical.evaluation.functional import components as module
from mmseg_medical.evaluation.functional.components import (
    Components,
    as_mask,
    bounding_box,
    box_of_all,
    component_overlaps,
    connected_components,
    numbered,
    remove_small,
)

DIAGONAL = np.array([[0, 0, 0, 0, 1], [1, 0, 0, 0, 0], [0, 1, 0, 1, 0], [0, 0, 0, 1, 0]], bool)


def flood(mask: np.ndarray, connectivity: str) -> np.ndarray:
    """Label by walking from pixel to pixel, in array order."""
    labels, count = np.zeros(mask.shape, int), 0
    steps = [np.array(s) - 1 for s in np.ndindex(*(3,) * mask.ndim)]
    steps = [s for s in steps if np.abs(s).sum() == 1 or (connectivity == 'full' and np.abs(s).sum())]
    for start in np.argwhere(mask):
        if labels[tuple(start)]:
            continue
        count += 1
        stack = [start]
        labels[tuple(start)] = count
        while stack:
            here = stack.pop()
            for step in steps:
                there = here + step
                inside = (there >= 0).all() and (there < mask.shape).all()
                if inside and mask[tuple(there)] and not labels[tuple(there)]:
                    labels[tuple(there)] = count
                    stack.append(there)
    return labels


masks = array_shapes(min_dims=1, max_dims=4, min_side=1, max_side=5).flatmap(lambda shape: arrays(bool, shape))


def check_measures(parts: Components) -> None:
    assert parts.labels.dtype == np.int32
    assert parts.sizes.dtype == parts.boxes.dtype == np.int64
    assert parts.boxes.shape == (parts.num, parts.labels.ndim, 2)
    assert parts.num == parts.labels.max(initial=0) == len(parts.sizes)
    for i in range(parts.num):
        places = np.argwhere(parts.labels == i + 1)
        assert parts.sizes[i] == len(places)
        assert parts.boxes[i].tolist() == np.stack((places.min(0), places.max(0) + 1), axis=1).tolist()


def test_diagonal_neighbours_are_joined_by_default():
    full, face = connected_components(DIAGONAL), connected_components(DIAGONAL, 'face')
    assert full.labels.tolist() == [[0, 0, 0, 0, 1], [2, 0, 0, 0, 0], [0, 2, 0, 3, 0], [0, 0, 0, 3, 0]]
    assert face.labels.tolist() == [[0, 0, 0, 0, 1], [2, 0, 0, 0, 0], [0, 3, 0, 4, 0], [0, 0, 0, 4, 0]]
    assert full.sizes.tolist() == [1, 2, 2]
    assert face.sizes.tolist() == [1, 1, 1, 2]
    assert full.boxes.tolist() == [[[0, 1], [4, 5]], [[1, 3], [0, 2]], [[2, 4], [3, 4]]]


def test_neighbours_in_space():
    corner, edge, face = np.zeros((3, 2, 2, 2), bool)
    corner[0, 0, 0] = corner[1, 1, 1] = edge[0, 0, 0] = edge[0, 1, 1] = face[0, 0, 0] = face[1, 0, 0] = True
    assert [connected_components(m).num for m in (corner, edge, face)] == [1, 1, 1]
    assert [connected_components(m, 'face').num for m in (corner, edge, face)] == [2, 2, 1]


@pytest.mark.parametrize('connectivity', ['full', 'face'])
@settings(max_examples=40, deadline=None)
@given(mask=masks)
def test_agrees_with_a_walk_over_the_pixels(connectivity, mask):
    parts = connected_components(mask, connectivity)
    np.testing.assert_array_equal(parts.labels, flood(mask, connectivity))
    check_measures(parts)


@pytest.mark.parametrize('shape', [(1, 1), (1, 7), (13, 1, 5), (7,), (0, 3), (2, 0)])
@pytest.mark.parametrize('value', [0, 1])
def test_empty_and_full(shape, value):
    parts = connected_components(np.full(shape, value, np.uint8))
    assert parts.labels.shape == shape
    check_measures(parts)
    assert parts.num == (value and bool(np.prod(shape)))


@pytest.mark.parametrize(
    'convert',
    [
        lambda m: m.astype(np.uint8),
        lambda m: m.astype(np.float16),
        lambda m: m.astype(np.int64),
        torch.from_numpy,
        lambda m: torch.from_numpy(m).to(torch.bfloat16),
        np.asfortranarray,
        lambda m: np.repeat(m, 2, axis=1)[:, ::2],
        lambda m: m[::-1, ::-1].copy()[::-1, ::-1],
    ],
)
def test_kinds_of_arrays(convert):
    np.testing.assert_array_equal(connected_components(convert(DIAGONAL)).labels, flood(DIAGONAL, 'full'))


@pytest.mark.parametrize('connectivity', ['full', 'face'])
@settings(max_examples=30, deadline=None)
@given(mask=array_shapes(min_dims=2, max_dims=3, min_side=1, max_side=9).flatmap(lambda s: arrays(bool, s)))
def test_both_packages_label_alike(connectivity, mask):
    pytest.importorskip('cc3d')
    ours, theirs = module._label_with_scipy(mask, connectivity), module._label_with_cc3d(mask, connectivity)
    assert theirs.dtype == np.int32
    np.testing.assert_array_equal(module._in_order(ours), module._in_order(theirs))


def test_the_accelerator_takes_two_and_three_axes(monkeypatch):
    calls = []

    class Cc3d:
        @staticmethod
        def connected_components(mask, connectivity):
            assert mask.dtype == np.uint8  # its path for bool mislabels masks with axes of length 1
            calls.append((mask.ndim, connectivity))
            return np.where(mask, 1, 0).astype(np.uint16)

    monkeypatch.setitem(sys.modules, 'cc3d', Cc3d)
    monkeypatch.setattr(module, '_has_cc3d', lambda: True)
    for shape in ((2,), (2, 2), (2, 2, 2), (2, 2, 2, 2)):
        for connectivity in ('face', 'full'):
            assert connected_components(np.ones(shape, bool), connectivity).num == 1
    assert calls == [(2, 4), (2, 8), (3, 6), (3, 26)]


def test_numbers_follow_the_first_pixels():
    labels = np.array([[0, 3, 3, 0], [2, 0, 0, 0], [2, 2, 1, 3]], np.int32)
    assert module._in_order(labels).tolist() == [[0, 1, 1, 0], [2, 0, 0, 0], [2, 2, 3, 1]]
    assert module._in_order(labels).dtype == np.int32


def test_instances_are_numbered_by_their_ids():
    parts, ids = numbered(torch.tensor([[0, 900, 0, 5], [0, 5, 0, 7]]))
    assert ids.tolist() == [5, 7, 900]
    assert parts.labels.tolist() == [[0, 3, 0, 1], [0, 1, 0, 2]]
    check_measures(parts)
    parts, ids = numbered(np.zeros((3, 2), np.uint8))
    assert parts.num == ids.size == 0
    assert numbered(np.array([2.0, 255.0, 0.0]))[1].tolist() == [2, 255]
    assert numbered(np.array([0, 2**40], np.int64))[0].labels.tolist() == [0, 1]
    ids_of_bytes = np.arange(256, dtype=np.uint8)
    assert numbered(ids_of_bytes)[0].labels.tolist() == list(range(256))
    assert ids_of_bytes[255] == 255


def test_small_components():
    parts = connected_components(np.array([[1, 0, 1, 1, 0, 1, 1, 1, 0, 1]]))
    small = remove_small(parts, 2)
    assert small.labels.tolist() == [[0, 0, 1, 1, 0, 2, 2, 2, 0, 0]]
    assert small.labels.dtype == np.int32
    check_measures(small)
    assert parts.labels.tolist() == [[1, 0, 2, 2, 0, 3, 3, 3, 0, 4]]
    for volume, num in ((0, 4), (1, 4), (1.01, 2), (2, 2), (2.01, 1), (3, 1), (3.01, 0)):
        assert remove_small(parts, volume).num == num
        assert remove_small(parts, volume * 1.5, (0.5, 3)).num == num
    check_measures(remove_small(parts, 9))
    assert remove_small(connected_components(np.zeros((2, 2), bool)), 1).num == 0


def test_a_volume_at_the_limit_stays_whatever_the_rounding():
    parts = connected_components(np.ones((3, 1, 1), bool))
    assert parts.volumes_mm3((0.7, 0.1, 1))[0] != 3 * 0.07
    for limit in (0.21, 3 * 0.07, 0.7 * 0.1 * 3):
        assert remove_small(parts, limit, (0.7, 0.1, 1)).num == 1
        assert remove_small(parts, limit * (1 + 1e-8), (0.7, 0.1, 1)).num == 0


def test_volumes():
    parts = connected_components(np.array([[1, 0, 1], [1, 0, 0]]))
    assert parts.volumes_mm3().tolist() == [2, 1]
    assert parts.volumes_mm3((0.5, 3)).tolist() == [3, 1.5]
    assert parts.reach(1.5, (0.5, 3)).tolist() == [True, True]
    assert parts.reach(1.6, (0.5, 3)).tolist() == [True, False]


def test_overlaps():
    first = connected_components(np.array([[1, 1, 1, 0, 1, 1], [0, 0, 0, 0, 0, 0], [1, 0, 0, 0, 0, 1]]))
    second = connected_components(np.array([[0, 1, 0, 1, 1, 1], [0, 0, 0, 0, 0, 0], [1, 1, 0, 0, 0, 0]]))
    pairs, shared = component_overlaps(first, second)
    assert pairs.tolist() == [[1, 1], [2, 2], [3, 3]]
    assert shared.tolist() == [1, 2, 1]
    assert shared.dtype == pairs.dtype == np.int64


@settings(max_examples=60, deadline=None)
@given(
    st.integers(1, 3)
    .flatmap(lambda ndim: array_shapes(min_dims=ndim, max_dims=ndim, min_side=1, max_side=6))
    .flatmap(lambda shape: st.tuples(*[arrays(np.uint8, shape, elements=st.integers(0, 4))] * 2))
)
def test_overlaps_agree_with_a_loop_over_all_pairs(maps):
    (first, first_ids), (second, second_ids) = (numbered(m) for m in maps)
    expected = {}
    for i, a in enumerate(first_ids, start=1):
        for j, b in enumerate(second_ids, start=1):
            shared = int(((maps[0] == a) & (maps[1] == b)).sum())
            if shared:
                expected[i, j] = shared
    pairs, shared = component_overlaps(first, second)
    assert dict(zip(map(tuple, pairs.tolist()), shared.tolist(), strict=True)) == expected
    assert pairs.tolist() == sorted(pairs.tolist())


@settings(max_examples=40, deadline=None)
@given(masks)
def test_boxes(mask):
    box = bounding_box(mask)
    assert len(box) == mask.ndim
    assert mask[box].sum() == mask.sum()
    if mask.any():
        places = np.argwhere(mask)
        assert [(s.start, s.stop) for s in box] == list(zip(places.min(0), places.max(0) + 1, strict=True))
    else:
        assert box == (slice(0, 0),) * mask.ndim
    assert box_of_all(connected_components(mask)) == box


def test_cost_follows_the_box():
    mask = np.zeros((40, 50, 60), bool)
    mask[10:12, 20:23, 30:34] = True
    seen = []
    original = module._label_with_scipy
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, '_has_cc3d', lambda: False)
        patch.setattr(module, '_label_with_scipy', lambda m, c: seen.append(m.shape) or original(m, c))
        parts = connected_components(mask)
    assert seen == [(2, 3, 4)]
    assert parts.boxes.tolist() == [[[10, 12], [20, 23], [30, 34]]]


def test_masks():
    assert as_mask(torch.tensor([0, 1]), 'pred').dtype == bool
    assert as_mask(np.zeros((0,), np.int16), 'pred').tolist() == []


@pytest.mark.parametrize(
    ('call', 'message'),
    [
        (lambda: connected_components(DIAGONAL, '8'), "connectivity must be one of full, face, got '8'"),
        (
            lambda: connected_components(np.array([0, 255], np.uint8)),
            'mask must hold 0 and 1 only, got values in 0..255; select a class first, as in labels == 1',
        ),
        (lambda: connected_components(np.array([-1, 1])), 'mask must hold 0 and 1 only, got values in -1..1'),
        (lambda: connected_components(np.array([0.5])), 'mask must hold integer labels'),
        (lambda: connected_components(np.array([np.nan])), 'mask must hold integer labels'),
        (lambda: connected_components(np.array(True)), 'mask must have one axis or more, got a single number'),
        (lambda: numbered(np.array(3), 'target'), 'target must have one axis or more, got a single number'),
        (lambda: numbered(np.array([3, -2])), 'instances must hold ids of instances, 0 or more, got -2'),
        (lambda: numbered(np.array([0.5]), 'pred'), 'pred must hold integer labels'),
        (lambda: numbered(np.array([0.5])), 'instances must hold integer labels'),
        (
            lambda: remove_small(connected_components(DIAGONAL), -1),
            'min_volume_mm3 must be 0 or more and finite, got -1',
        ),
        (
            lambda: remove_small(connected_components(DIAGONAL), np.nan),
            'min_volume_mm3 must be 0 or more and finite, got nan',
        ),
        (
            lambda: remove_small(connected_components(DIAGONAL), np.inf),
            'min_volume_mm3 must be 0 or more and finite, got inf',
        ),
        (
            lambda: remove_small(connected_components(DIAGONAL), 1, (1, 1, 1)),
            'spacing_mm must have one number for each of the 2 axes',
        ),
        (lambda: remove_small(connected_components(DIAGONAL), 1, (1, 0)), 'spacing_mm must be positive'),
    ],
)
def test_wrong_arguments(call, message):
    with pytest.raises(ValueError, match='^' + re.escape(message)):
        call()


def test_complex_masks():
    with pytest.raises(TypeError, match='mask must hold integer labels'):
        connected_components(np.array([1j]))
