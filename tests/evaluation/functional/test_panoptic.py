import math
import re

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mmseg_medical.evaluation.functional.lesions import LesionCounts, match_instances, match_lesions
from mmseg_medical.evaluation.functional.panoptic import PanopticQuality, panoptic_counts, panoptic_quality

NAN = math.nan


def quality(*args, **kwargs) -> tuple[float, float, float]:
    found = panoptic_quality(*args, **kwargs)
    return float(found.pq), float(found.sq), float(found.rq)


def test_formula():
    assert quality(LesionCounts(2, 1, 3, 1.5)) == pytest.approx((1.5 / 4, 0.75, 0.5))
    assert quality(LesionCounts(3, 0, 0, 3.0)) == (1, 1, 1)
    assert quality(LesionCounts(1, 1, 0, 0.6)) == pytest.approx((0.4, 0.6, 2 / 3))
    assert quality(LesionCounts(1, 0, 1, 0.6)) == pytest.approx((0.4, 0.6, 2 / 3))


def test_truth_table():
    states = LesionCounts(
        np.array([1, 0, 0, 0, 0]), np.array([0, 1, 0, 2, 0]), np.array([0, 1, 3, 0, 0]), np.array([0.75, 0, 0, 0, 0])
    )
    for policy, expected in {
        'strict': [0.75, 0, 0, 0, NAN],
        'perfect': [0.75, 0, 0, 0, 1],
        'infinite': [0.75, 0, 0, 0, NAN],
        'exclude': [0.75, 0, NAN, NAN, NAN],
    }.items():
        found = panoptic_quality(states, policy)
        np.testing.assert_array_equal(found.pq, expected)
        np.testing.assert_array_equal(found.sq, expected)
        np.testing.assert_array_equal(found.rq, [np.ceil(v) for v in expected])
    np.testing.assert_array_equal(panoptic_quality(states).pq, [0.75, 0, 0, 0, NAN])
    assert isinstance(found, PanopticQuality)


def test_classes_and_their_pool():
    #                          two components of class 1, one of class 2, none of class 3
    target = np.array([[1, 1, 1, 0, 1, 0, 2, 2]])
    pred = np.array([[1, 1, 0, 0, 2, 0, 2, 2]])
    counts = panoptic_counts(pred, target, 4)
    assert counts.tp.tolist() == [1, 1, 0]
    assert counts.fp.tolist() == [0, 1, 0]
    assert counts.fn.tolist() == [1, 0, 0]
    np.testing.assert_allclose(counts.iou_sum, [2 / 3, 1, 0])
    np.testing.assert_allclose(panoptic_quality(counts).pq, [4 / 9, 2 / 3, NAN])
    assert quality(counts.pooled()) == pytest.approx((5 / 9, 5 / 6, 2 / 3))
    twice = panoptic_quality(counts + counts)
    np.testing.assert_allclose(twice.pq, [4 / 9, 2 / 3, NAN])


def test_instances_of_classes():
    classes = np.array([1, 1, 1, 1, 2, 2, 0, 0])
    target = np.array([4, 4, 9, 9, 4, 4, 0, 0])
    pred = np.array([1, 1, 1, 2, 2, 2, 0, 3])
    counts = panoptic_counts(classes, classes, 3, pred_instances=pred, target_instances=torch.tensor(target))
    # class 1: {0, 1, 2} against {0, 1} has 2/3, {3} against {2, 3} has 1/2, which must be exceeded
    assert (counts.tp.tolist(), counts.fp.tolist(), counts.fn.tolist()) == ([1, 1], [1, 0], [1, 0])
    np.testing.assert_allclose(counts.iou_sum, [2 / 3, 1])
    lower = panoptic_counts(classes, classes, 3, pred_instances=pred, target_instances=target, threshold=0.4)
    assert (lower.tp.tolist(), lower.fp.tolist(), lower.fn.tolist()) == ([2, 1], [0, 0], [0, 0])
    components = panoptic_counts(torch.tensor(classes), classes, 3)
    assert components.tp.tolist() == [1, 1]


def test_options_reach_the_matching():
    target = np.array([[1, 0, 0, 0], [0, 1, 0, 1]])
    pred = np.array([[1, 0, 0, 0], [0, 1, 0, 0]])
    assert panoptic_counts(pred, target, 2).tp.tolist() == [1]
    assert panoptic_counts(pred, target, 2).fn.tolist() == [1]
    assert panoptic_counts(pred, target, 2, connectivity='face').tp.tolist() == [2]
    assert panoptic_counts(pred, target, 2, min_volume_mm3=2).fn.tolist() == [0]
    assert panoptic_counts(pred, target, 2, min_volume_mm3=2, spacing_mm=(2, 1)).fn.tolist() == [1]
    half = np.array([[1, 0, 0, 0], [0, 0, 0, 0]])
    assert panoptic_counts(half, target, 2).tp.tolist() == [0]
    assert panoptic_counts(half, target, 2, threshold=0.49).tp.tolist() == [1]
    ids = dict(pred_instances=pred, target_instances=np.array([[1, 0, 0, 0], [0, 1, 0, 2]]))
    assert panoptic_counts(pred, target, 2, min_volume_mm3=2, **ids).fn.tolist() == [0]
    assert panoptic_counts(pred, target, 2, min_volume_mm3=2, spacing_mm=(2, 1), **ids).fn.tolist() == [1]


@pytest.mark.parametrize('shape', [(0, 3), (4,), (1, 5, 1)])
def test_empty(shape):
    counts = panoptic_counts(np.zeros(shape, int), np.zeros(shape, int), 3)
    assert counts.tp.tolist() == counts.fp.tolist() == counts.fn.tolist() == [0, 0]
    assert counts.iou_sum.tolist() == [0, 0]


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10**6))
def test_swapping_the_masks(seed):
    rng = np.random.default_rng(seed)
    pred, target = rng.random((2, 6, 7)) < 0.4
    forth, back = (panoptic_quality(match_lesions(*m, 'iou').counts) for m in ((pred, target), (target, pred)))
    for name in ('pq', 'sq', 'rq'):
        np.testing.assert_allclose(getattr(forth, name), getattr(back, name))
    if pred.any() and target.any():
        assert forth.pq == pytest.approx(forth.sq * forth.rq)


@pytest.mark.parametrize('shape', [(9, 11), (5, 6, 7)])
@pytest.mark.parametrize('threshold', [0.5, 0.7])
def test_agrees_with_monai(shape, threshold):
    theirs = pytest.importorskip('monai.metrics.panoptic_quality')
    rng = np.random.default_rng(1)
    for _ in range(10):
        target = rng.integers(0, 5, [-(-n // 3) for n in shape])
        target = np.kron(target, np.ones([3] * len(shape), int))[tuple(slice(n) for n in shape)]
        pred = np.where(rng.random(shape) < 0.8, target, rng.integers(0, 6, shape))
        counts = match_instances(pred, target, threshold=threshold).counts
        expected = theirs.compute_panoptic_quality(
            torch.tensor(pred), torch.tensor(target), match_iou_threshold=threshold, output_confusion_matrix=True
        )
        assert [counts.tp, counts.fp, counts.fn, counts.iou_sum] == pytest.approx(expected.tolist(), abs=1e-5)


@pytest.mark.parametrize(
    ('call', 'message'),
    [
        (lambda: panoptic_quality(LesionCounts(-1, 0, 0, 0.0)), 'tp must not be negative, got -1'),
        (lambda: panoptic_quality(LesionCounts(0, -1, 0, 0.0)), 'fp must not be negative, got -1'),
        (lambda: panoptic_quality(LesionCounts(0, 0, -2, 0.0)), 'fn must not be negative, got -2'),
        (
            lambda: panoptic_quality(match_lesions(np.ones(3, bool), np.ones(3, bool)).counts),
            'iou_sum must lie above 0 and be at most tp where there are hits, and be 0 elsewhere, got 0.0 for tp = 1; '
            "match with criterion='iou'",
        ),
        (lambda: panoptic_quality(LesionCounts(0, 1, 0, 0.5)), 'iou_sum must lie above 0 and be at most tp'),
        (lambda: panoptic_quality(LesionCounts(1, 1, 0, 1.5)), 'iou_sum must lie above 0 and be at most tp'),
        (lambda: panoptic_quality(LesionCounts(1, 0, 0, 1.0), 'none'), 'empty must be one of strict'),
        (
            lambda: panoptic_counts(np.zeros(2, int), np.zeros(2, int), 1),
            'num_classes must be at least 2, the background and one class, got 1',
        ),
        (
            lambda: panoptic_counts(np.zeros(2, int), np.zeros(3, int), 2),
            'pred and target must have one shape, got (2,) and (3,)',
        ),
        (
            lambda: panoptic_counts(np.array([2, 0]), np.zeros(2, int), 2),
            'pred holds labels outside 0..1: 2 (1 px); num_classes=2, ignore_index=None',
        ),
        (
            lambda: panoptic_counts(np.zeros(2, int), np.array([255, 0]), 2),
            'target holds labels outside 0..1: 255 (1 px)',
        ),
        (
            lambda: panoptic_counts(np.zeros(2, int), np.zeros(2, int), 2, pred_instances=np.zeros(2, int)),
            'pred_instances and target_instances must be given together',
        ),
        (
            lambda: panoptic_counts(np.zeros(2, int), np.zeros(2, int), 2, target_instances=np.zeros(2, int)),
            'pred_instances and target_instances must be given together',
        ),
        (
            lambda: panoptic_counts(
                np.zeros(2, int),
                np.zeros(2, int),
                2,
                pred_instances=np.zeros(2, int),
                target_instances=np.zeros(3, int),
            ),
            'target_instances must have the shape (2,) of pred, got (3,)',
        ),
        (
            lambda: panoptic_counts(
                np.zeros(2, int),
                np.zeros(2, int),
                2,
                pred_instances=np.zeros(3, int),
                target_instances=np.zeros(2, int),
            ),
            'pred_instances must have the shape (2,) of pred, got (3,)',
        ),
        (
            lambda: panoptic_counts(
                np.ones(2, int), np.ones(2, int), 2, pred_instances=np.ones(2) / 2, target_instances=np.ones(2, int)
            ),
            'pred_instances must hold integer labels',
        ),
        (
            lambda: panoptic_counts(
                np.ones(2, int), np.ones(2, int), 2, pred_instances=np.ones(2, int), target_instances=np.ones(2) / 2
            ),
            'target_instances must hold integer labels',
        ),
        (
            lambda: panoptic_counts(
                np.ones(2, int), np.ones(2, int), 2, pred_instances=-np.ones(2, int), target_instances=np.ones(2, int)
            ),
            'pred must hold ids of instances, 0 or more, got -1',
        ),
    ],
)
def test_wrong_arguments(call, message):
    with pytest.raises(ValueError, match='^' + re.escape(message)):
        call()
