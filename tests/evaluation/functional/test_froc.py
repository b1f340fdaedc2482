import math
import re

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mmseg_medical.evaluation.functional.froc import (
    FALSE_POSITIVE,
    IGNORED,
    LUNA16_RATES,
    ScanCandidates,
    candidates_from_map,
    froc,
)
from mmseg_medical.evaluation.functional.lesions import match_lesions

NAN, INF = math.nan, math.inf


def scan(rows, num_targets):
    scores, hits = zip(*rows, strict=True) if rows else ((), ())
    return ScanCandidates(np.array(scores), np.array(hits, dtype=int), num_targets)


# three scans: 0.9 and 0.8 on target 1, false 0.85, target 2 found at 0.5; two false ones of 0.7; a missed target
SCANS = [
    scan([(0.8, 1), (0.9, 1), (0.85, -1), (0.5, 2), (0.95, -2)], 2),
    scan([(0.7, -1), (0.7, -1)], 0),
    scan([], 1),
    scan([(0.85, 7), (0.2, -1)], 1),
]


def reference(scans, threshold):
    """False candidates and targets found at a threshold, by loops."""
    false = found = 0
    for one in scans:
        hit = set()
        for score, target in zip(one.scores, one.hits, strict=True):
            if score >= threshold:
                false += target == -1
                hit |= {target} if target >= 0 else set()
        found += len(hit)
    return false, found


def test_curve():
    curve = froc(SCANS)
    assert curve.thresholds.tolist() == [INF, 0.9, 0.85, 0.7, 0.5, 0.2]
    assert curve.fp_per_scan.tolist() == [0, 0, 0.25, 0.75, 0.75, 1]
    assert curve.sensitivity.tolist() == [0, 0.25, 0.5, 0.5, 0.75, 0.75]
    assert curve.rates.tolist() == [0.125, 0.25, 0.5, 1, 2, 4, 8] == list(LUNA16_RATES)
    assert curve.sensitivity_at_rates.tolist() == [0.25, 0.5, 0.5, 0.75, 0.75, 0.75, 0.75]
    assert curve.mean_sensitivity == pytest.approx(4.25 / 7)
    assert (curve.num_scans, curve.num_targets, curve.interpolation) == (4, 4, 'step')


def test_linear_interpolation():
    curve = froc(SCANS, (0, 0.125, 0.25, 0.5, 0.75, 0.8, 20), 'linear')
    np.testing.assert_allclose(curve.sensitivity_at_rates, [0.25, 0.375, 0.5, 0.5, 0.75, 0.75, 0.75])
    assert curve.interpolation == 'linear'
    steps = froc(SCANS, (0, 0.125, 0.25, 0.5, 0.75, 0.8, 20))
    assert steps.sensitivity_at_rates.tolist() == [0.25, 0.25, 0.5, 0.5, 0.75, 0.75, 0.75]


def test_the_highest_of_several_candidates_counts():
    one = froc([scan([(0.9, 3), (0.1, 3), (0.5, -1)], 1)], (0, 1))
    assert one.sensitivity_at_rates.tolist() == [1, 1]
    assert one.fp_per_scan.tolist() == [0, 0, 1]
    lower_first = froc([scan([(0.1, 3), (0.9, 3), (0.5, -1)], 1)], (0, 1))
    np.testing.assert_array_equal(lower_first.sensitivity, one.sensitivity)


def test_targets_of_two_scans_are_two():
    curve = froc([scan([(0.9, 0)], 1), scan([(0.8, 0)], 2)], (0,))
    assert curve.sensitivity.tolist() == [0, 1 / 3, 2 / 3]


def test_ties_enter_together():
    rows = [(0.5, -1), (0.5, 1), (0.5, 2), (0.5, -1)]
    for order in ([0, 1, 2, 3], [3, 2, 1, 0], [1, 2, 0, 3]):
        curve = froc([scan([rows[i] for i in order], 2)], (1, 2))
        assert curve.fp_per_scan.tolist() == [0, 2]
        assert curve.sensitivity_at_rates.tolist() == [0, 1]


def test_negative_scores_and_rates_of_a_division():
    scans = [scan([(-3.0, 1), (-1.0, -1)], 1)] + [scan([], 0)] * 9
    assert froc(scans, (0.0999, 0.1)).sensitivity_at_rates.tolist() == [0, 1]
    three = [scan([(2, -1), (2, -1), (2, -1), (1, 1)], 1)] + [scan([], 0)] * 9
    assert froc(three, (0.3,)).sensitivity_at_rates.tolist() == [1]


def test_without_targets_or_candidates():
    curve = froc([scan([(0.5, -1)], 0), scan([], 0)])
    assert np.isnan(curve.sensitivity).all()
    assert np.isnan(curve.sensitivity_at_rates).all()
    assert math.isnan(curve.mean_sensitivity)
    assert curve.fp_per_scan.tolist() == [0, 0.5]
    assert math.isnan(froc([scan([(0.5, -1)], 0)], interpolation='linear').mean_sensitivity)
    nothing = froc([scan([], 3)])
    assert nothing.thresholds.tolist() == [INF]
    assert nothing.mean_sensitivity == 0
    ignored = froc([scan([(0.9, -2)], 1)])
    assert ignored.thresholds.tolist() == [INF]


rows = st.lists(st.tuples(st.sampled_from([0.1, 0.2, 0.3, 0.7, 0.9]), st.integers(-2, 3)), max_size=8)


@settings(max_examples=50, deadline=None)
@given(st.lists(rows, min_size=1, max_size=5), st.randoms())
def test_agrees_with_loops_over_thresholds(lists, random):
    scans = [scan(r, 4) for r in lists]
    curve = froc(scans, (0, 0.5, 1, 3))
    for threshold, fp, sensitivity in zip(curve.thresholds, curve.fp_per_scan, curve.sensitivity, strict=True):
        false, found = reference(scans, threshold)
        assert fp == false / len(scans)
        assert sensitivity == found / curve.num_targets
    for rate, value in zip(curve.rates, curve.sensitivity_at_rates, strict=True):
        candidates = [reference(scans, t) for t in (INF, 0.9, 0.7, 0.3, 0.2, 0.1)]
        assert value == max(n for f, n in candidates if f / len(scans) <= rate) / curve.num_targets
    shuffled = [scan(random.sample(r, len(r)), 4) for r in random.sample(lists, len(lists))]
    again = froc(shuffled, (0, 0.5, 1, 3))
    np.testing.assert_array_equal(again.thresholds, curve.thresholds)
    np.testing.assert_array_equal(again.sensitivity, curve.sensitivity)
    assert (np.diff(curve.sensitivity) >= 0).all()
    assert (np.diff(curve.thresholds) < 0).all()


def test_agrees_with_monai():
    theirs = pytest.importorskip('monai.metrics.froc')
    rng = np.random.default_rng(0)
    for _ in range(20):
        scans = []
        for _ in range(int(rng.integers(1, 6))):
            hits = np.concatenate((rng.permutation(6)[: rng.integers(1, 6)] + 1, np.full(rng.integers(1, 9), -1)))
            scans.append(ScanCandidates(rng.permutation(999)[: hits.size] / 999 + 1e-3, hits, 6))
        false = np.concatenate([s.scores[s.hits == -1] for s in scans])
        # a target that was missed has score 0 there
        found = np.concatenate([s.scores[s.hits > 0] for s in scans] + [np.zeros(6 * len(scans))])
        fps, sensitivities = theirs.compute_froc_curve_data(false, found, 6 * len(scans), len(scans))
        curve = froc(scans, (0.25, 0.5, 1, 2, 4, 8), 'linear')
        np.testing.assert_allclose(curve.fp_per_scan, np.unique(np.stack((fps, sensitivities)), axis=1)[0])
        np.testing.assert_allclose(curve.sensitivity, np.unique(np.stack((fps, sensitivities)), axis=1)[1])
        assert curve.mean_sensitivity == pytest.approx(theirs.compute_froc_score(fps, sensitivities))


PROBABILITIES = np.array([[0.9, 0.8, 0.0, 0.3, 0.0], [0.0, 0.0, 0.0, 0.2, 0.0], [0.1, 0.0, 0.0, 0.0, 0.6]])
TARGET = np.array([[1, 0, 0, 0, 0], [0, 0, 0, 0, 0], [0, 1, 0, 0, 1]])


def test_candidates_of_a_map():
    # component 1: 0.9, 0.8 on target 1; 2: 0.3, 0.2 and, by its corner, 0.6 on target 3; 3: 0.1 beside target 2
    found = candidates_from_map(PROBABILITIES, TARGET, 0.1)
    assert found.hits.tolist() == [1, 3, -1]
    assert found.scores.tolist() == [0.9, 0.6, 0.1]
    assert found.num_targets == 3
    mean = candidates_from_map(PROBABILITIES, TARGET, 0.1, score='mean')
    np.testing.assert_allclose(mean.scores, [0.85, 1.1 / 3, 0.1])
    higher = candidates_from_map(PROBABILITIES, TARGET, 0.25)
    assert list(zip(higher.scores, higher.hits, strict=True)) == [(0.9, 1), (0.3, -1), (0.6, 3)]
    at = candidates_from_map(PROBABILITIES, TARGET, 0.9)
    assert list(zip(at.scores, at.hits, strict=True)) == [(0.9, 1)]
    faces = candidates_from_map(PROBABILITIES, TARGET, 0.1, connectivity='face')
    assert list(zip(faces.scores, faces.hits, strict=True)) == [(0.9, 1), (0.3, -1), (0.1, -1), (0.6, 3)]


def test_a_component_on_two_targets_hits_both():
    found = candidates_from_map(np.array([0.5, 0.6, 0.7, 0, 0.2]), np.array([1, 0, 1, 0, 0]), 0.1)
    assert list(zip(found.scores, found.hits, strict=True)) == [(0.7, 1), (0.7, 2), (0.2, -1)]
    assert froc([found], (0,)).mean_sensitivity == 1


def test_small_targets_are_ignored_and_small_candidates_removed():
    probabilities = np.array([0.9, 0.9, 0, 0.8, 0, 0.7, 0.7, 0, 0.6, 0.6, 0, 0.5, 0.5, 0.5, 0.5])
    target = np.array([1, 1, 0, 1, 0, 1, 0, 0, 0, 0, 0, 1, 0, 1, 1])
    found = candidates_from_map(probabilities, target, 0.1, min_volume_mm3=2)
    assert list(zip(found.scores, found.hits, strict=True)) == [(0.9, 1), (0.7, -2), (0.6, -1), (0.5, 5)]
    assert found.num_targets == 2
    scaled = candidates_from_map(probabilities, target, 0.1, min_volume_mm3=2, spacing_mm=(2,))
    assert scaled.hits.tolist() == [1, 2, 3, -1, 4, 5]
    assert scaled.num_targets == 5


@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_kinds_of_maps(dtype):
    probabilities = torch.tensor([0.25, 0.0, 0.75, 1.0], dtype=dtype, requires_grad=True)
    found = candidates_from_map(probabilities, torch.tensor([0, 0, 0, 1], dtype=torch.bool), 0.25)
    assert list(zip(found.scores, found.hits, strict=True)) == [(0.25, -1), (1.0, 1)]
    empty = candidates_from_map(np.zeros((3, 1)), np.zeros((3, 1), bool), 0.5)
    assert (empty.scores.size, empty.hits.size, empty.num_targets) == (0, 0, 0)
    only_target = candidates_from_map(np.zeros(3), np.ones(3, bool), 1, score='mean')
    assert (only_target.scores.size, only_target.num_targets) == (0, 1)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10**6))
def test_one_threshold_is_the_overlap_criterion(seed):
    rng = np.random.default_rng(seed)
    probabilities, target = rng.random((7, 5)), rng.random((7, 5)) < 0.3
    threshold, limit = rng.choice([0.5, 0.8]), float(rng.integers(0, 4))
    found = candidates_from_map(probabilities, target, threshold, min_volume_mm3=limit)
    match = match_lesions(probabilities >= threshold, target, min_volume_mm3=limit)
    assert found.num_targets == match.num_target
    assert (found.hits == -1).sum() == match.fp
    assert np.unique(found.hits[found.hits >= 0]).tolist() == match.target_ids[match.target_detected].tolist()


def test_constants():
    assert (FALSE_POSITIVE, IGNORED) == (-1, -2)
    lists = ScanCandidates([1, 2], [0, -1], 1)
    assert lists.scores.dtype == np.float64
    assert lists.hits.dtype == np.int64
    assert ScanCandidates([], [], 0).hits.dtype == np.int64


@pytest.mark.parametrize(
    ('call', 'error', 'message'),
    [
        (
            lambda: ScanCandidates([0.5], [1, 2], 2),
            ValueError,
            'scores and hits must have one shape (M,), got (1,) and (2,)',
        ),
        (
            lambda: ScanCandidates(0.5, 1, 2),
            ValueError,
            'scores and hits must have one shape (M,), got () and ()',
        ),
        (lambda: ScanCandidates([0.5], [1.0], 1), TypeError, 'hits must hold integers, got float64'),
        (lambda: ScanCandidates([0.5], [True], 1), TypeError, 'hits must hold integers, got bool'),
        (lambda: ScanCandidates([0.5, NAN], [1, 1], 1), ValueError, 'scores must be finite, got nan'),
        (lambda: ScanCandidates([INF], [1], 1), ValueError, 'scores must be finite, got inf'),
        (
            lambda: ScanCandidates([0.5], [-3], 1),
            ValueError,
            'hits must be numbers of targets, -1 (false) or -2 (ignored), got -3',
        ),
        (
            lambda: ScanCandidates([0.5] * 3, [1, 1, 2], 1),
            ValueError,
            '2 targets are hit, but num_targets is 1',
        ),
        (lambda: ScanCandidates([0.5], [0], 0), ValueError, '1 targets are hit, but num_targets is 0'),
        (lambda: ScanCandidates([], [], -1), ValueError, '0 targets are hit, but num_targets is -1'),
        (
            lambda: froc(SCANS, interpolation='cubic'),
            ValueError,
            "interpolation must be one of step, linear, got 'cubic'",
        ),
        (lambda: froc([]), ValueError, 'scans must hold at least one scan, got none'),
        (
            lambda: froc(SCANS, ()),
            ValueError,
            'false_positive_rates must be numbers of 0 or more, at least one, got []',
        ),
        (
            lambda: froc(SCANS, 1.0),
            ValueError,
            'false_positive_rates must be numbers of 0 or more, at least one, got 1.0',
        ),
        (lambda: froc(SCANS, (1, -1)), ValueError, 'false_positive_rates must be numbers of 0 or more'),
        (lambda: froc(SCANS, (1, INF)), ValueError, 'false_positive_rates must be numbers of 0 or more'),
        (
            lambda: candidates_from_map(PROBABILITIES, TARGET, 0),
            ValueError,
            'threshold must lie above 0 and be at most 1, got 0',
        ),
        (lambda: candidates_from_map(PROBABILITIES, TARGET, 1.1), ValueError, 'threshold must lie above 0'),
        (
            lambda: candidates_from_map(PROBABILITIES, TARGET, 0.5, score='sum'),
            ValueError,
            "score must be one of max, mean, got 'sum'",
        ),
        (
            lambda: candidates_from_map(PROBABILITIES, TARGET[1:], 0.5),
            ValueError,
            'pred and target must have one shape, got (3, 5) and (2, 5)',
        ),
        (
            lambda: candidates_from_map(PROBABILITIES * 2, TARGET, 0.5),
            ValueError,
            'probabilities must be probabilities in 0..1, got values in 0..1.8',
        ),
        (
            lambda: candidates_from_map(PROBABILITIES * NAN, TARGET, 0.5),
            ValueError,
            'probabilities must be probabilities in 0..1, got NaN',
        ),
        (
            lambda: candidates_from_map(TARGET, TARGET, 0.5),
            TypeError,
            'probabilities must be probabilities of a float type',
        ),
        (
            lambda: candidates_from_map(PROBABILITIES, TARGET * 2, 0.5),
            ValueError,
            'target must hold 0 and 1 only, got values in 0..2',
        ),
        (
            lambda: candidates_from_map(PROBABILITIES, TARGET, 0.5, min_volume_mm3=-1),
            ValueError,
            'min_volume_mm3 must be 0 or more',
        ),
        (
            lambda: candidates_from_map(PROBABILITIES, TARGET, 0.5, spacing_mm=(1,)),
            ValueError,
            'spacing_mm must have one number for each of the 2 axes',
        ),
        (
            lambda: candidates_from_map(PROBABILITIES, TARGET, 0.5, connectivity='8'),
            ValueError,
            'connectivity must be one of full, face',
        ),
    ],
)
def test_wrong_arguments(call, error, message):
    with pytest.raises(error, match='^' + re.escape(message)):
        call()
