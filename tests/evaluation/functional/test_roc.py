import math
import warnings

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from mmseg_medical.evaluation.functional.precision_recall import NUM_BINS, PrecisionRecallHistogram
from mmseg_medical.evaluation.functional.roc import RocArea, roc_area, roc_area_from_counts, roc_auc


@pytest.fixture(autouse=True)
def _no_warning():
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        yield


def test_by_hand() -> None:
    # pairs of a positive and a negative: 0.9 > 0.8, 0.9 > 0.3, 0.35 < 0.8, 0.35 > 0.3
    result = roc_auc(np.array([0.9, 0.8, 0.35, 0.3]), np.array([1, 0, 1, 0]))
    assert result == RocArea(area=0.75, lower=0.75, upper=0.75, num_positives=2, num_negatives=2)
    assert roc_auc(np.array([0.2, 0.6]), np.array([False, True])).area == 1
    assert roc_auc(np.array([0.6, 0.2]), np.array([False, True])).area == 0


def test_equal_scores_count_half() -> None:
    result = roc_auc(np.full((2, 3), 0.3, np.float32), np.array([[1, 0, 0], [0, 1, 0]]))
    assert (result.area, result.lower, result.upper) == (0.5, 0, 1)


@pytest.mark.parametrize('score', [0.0, 1.0])
def test_zero_and_one_are_tied_indeed(score: float) -> None:
    result = roc_auc(np.array([score, score, 0.5]), np.array([1, 0, 0]))
    expected = 0.25 if score == 0 else 0.75
    assert (result.area, result.lower, result.upper) == (expected, expected, expected)


def test_without_one_of_the_classes() -> None:
    for truth, numbers in ((0, (0, 2)), (1, (2, 0))):
        result = roc_auc(np.array([0.1, 0.9]), np.array([truth, truth]))
        assert math.isnan(result.area)
        assert math.isnan(result.lower)
        assert math.isnan(result.upper)
        assert (result.num_positives, result.num_negatives) == numbers
    assert math.isnan(roc_auc(np.zeros(0), np.zeros(0, bool)).area)


@pytest.mark.parametrize('dtype', [np.float32, np.float16])
def test_bounds_hold_against_scikit_learn(dtype: type) -> None:
    rng = np.random.default_rng(0)
    truth = rng.random(20_011) < 0.1
    for scores in (
        1 / (1 + np.exp(-rng.normal(size=truth.size) - 2 * truth)),
        1 / (1 + np.exp(-25 * (rng.normal(size=truth.size) + truth))),
        0.5 + 1e-4 * np.clip(rng.normal(size=truth.size) + truth, -9, 9),
        np.round(rng.random(truth.size) * 0.9 + 0.1 * truth, 1),
    ):
        given_scores = scores.astype(dtype)
        exact = roc_auc_score(truth, given_scores.astype(np.float64))
        result = roc_auc(given_scores, truth)
        assert result.lower - 1e-12 <= exact <= result.upper + 1e-12
        assert abs(result.area - exact) <= (result.upper - result.lower) / 2 + 1e-12
        assert abs(result.area - exact) < 1e-4


def test_more_pairs_than_int64_holds() -> None:
    positives, pixels = np.zeros(NUM_BINS, np.int64), np.zeros(NUM_BINS, np.int64)
    many = 1 << 40
    positives[7], pixels[7], pixels[3] = many, many, 3 * many
    positives[1], pixels[1] = many, 2 * many
    # positives: bin 7 wins 4 of 4, bin 1 ties with 1 of 4 and loses the others
    result = roc_area_from_counts(positives, pixels)
    assert result == RocArea(
        area=(1 + 0.125) / 2, lower=0.5, upper=0.625, num_positives=2 * many, num_negatives=4 * many
    )


def test_ignored_pixels_and_classes() -> None:
    scores, target = np.array([[0.9, 0.8, 0.35, 0.3]]), np.array([[1, 255, 1, 0]])
    assert roc_auc(scores, target) == RocArea(1.0, 1.0, 1.0, 2, 1)
    assert roc_auc(scores, np.array([[1, 7, 1, 0]]), ignore_index=7).num_negatives == 1
    histogram = PrecisionRecallHistogram(2)
    histogram.update(np.concatenate((scores, 1 - scores)), np.concatenate((target, target)))
    assert [roc_area(histogram, index).area for index in range(2)] == [1, 0]


def test_parts_add_up() -> None:
    rng = np.random.default_rng(1)
    scores, truth = rng.random((5, 7, 3)), rng.integers(0, 2, (5, 7, 3))
    whole, parts = roc_auc(scores[:, ::-1], truth[:, ::-1]), PrecisionRecallHistogram(1)
    for s, t in zip(scores, truth, strict=True):
        part = PrecisionRecallHistogram(1)
        part.update(torch.from_numpy(s)[None], torch.from_numpy(t)[None])
        parts += part
    assert roc_area(parts, 0) == whole
    assert whole.area == pytest.approx(roc_auc_score(truth.ravel(), scores.ravel()))


@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 5), st.booleans()), min_size=2, max_size=20))
def test_against_all_pairs(pixels: list[tuple[int, bool]]) -> None:
    scores, truth = np.array([s / 5 for s, _ in pixels]), np.array([t for _, t in pixels])
    difference = scores[truth][:, None] - scores[~truth]
    result = roc_auc(scores, truth)
    if difference.size == 0:
        assert math.isnan(result.area)
    else:
        assert result.area == pytest.approx((np.sign(difference).mean() + 1) / 2)
        assert result.lower <= result.area <= result.upper
        assert roc_auc(1 - scores, truth).area == pytest.approx(1 - result.area)


def test_errors() -> None:
    with pytest.raises(ValueError, match=r'must have one shape'):
        roc_auc(np.zeros(2), np.zeros(3, int))
    with pytest.raises(ValueError, match=r'^scores must be probabilities in 0..1, got NaN$'):
        roc_auc(np.array([np.nan]), np.array([1]))
    with pytest.raises(ValueError, match=r'^targets must be 0, 1 or 255 \(ignored\), got \[2\]$'):
        roc_auc(np.array([0.5]), np.array([2]))
