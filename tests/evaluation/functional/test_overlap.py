import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import f1_score, fbeta_score, jaccard_score, precision_score, recall_score

from mmseg_medical.evaluation.functional import dice, f_beta, iou, mean_over_cases, precision, recall

NAN = math.nan
# state: (tp, fp, fn)
VALID, DISJOINT, MISSED, FALSE_ALARM, EMPTY = (3, 1, 1), (0, 2, 3), (0, 0, 5), (0, 4, 0), (0, 0, 0)


@pytest.mark.parametrize(
    ('score', 'options', 'expected'),
    [
        (dice, {}, (0.75, 0, 0, 0, NAN)),
        (dice, {'both_empty': 'one'}, (0.75, 0, 0, 0, 1)),
        (dice, {'both_empty': 'zero'}, (0.75, 0, 0, 0, 0)),
        (iou, {}, (0.6, 0, 0, 0, NAN)),
        (iou, {'both_empty': 'one'}, (0.6, 0, 0, 0, 1)),
        (f_beta, {'beta': 2.0}, (0.75, 0, 0, 0, NAN)),
        (precision, {}, (0.75, 0, 0, 0, NAN)),
        (precision, {'one_sided': 'undefined'}, (0.75, 0, NAN, 0, NAN)),
        (precision, {'both_empty': 'one'}, (0.75, 0, 0, 0, 1)),
        (recall, {}, (0.75, 0, 0, 0, NAN)),
        (recall, {'one_sided': 'undefined'}, (0.75, 0, 0, NAN, NAN)),
        (recall, {'both_empty': 'zero', 'one_sided': 'undefined'}, (0.75, 0, 0, NAN, 0)),
    ],
)
def test_truth_table(score, options, expected) -> None:
    tp, fp, fn = np.array([VALID, DISJOINT, MISSED, FALSE_ALARM, EMPTY]).T
    np.testing.assert_array_equal(score(tp, fp, fn, **options), expected)


@given(st.tuples(*[st.integers(0, 40)] * 3))
def test_agrees_with_scikit_learn(counts: tuple[int, int, int]) -> None:
    tp, fp, fn = counts
    target = np.repeat([1, 0, 1], [tp, fp, fn])
    pred = np.repeat([1, 1, 0], [tp, fp, fn])
    if not tp + fp + fn:
        return
    theirs = {
        dice: f1_score(target, pred, zero_division=0),
        iou: jaccard_score(target, pred, zero_division=0),
        precision: precision_score(target, pred, zero_division=0),
        recall: recall_score(target, pred, zero_division=0),
    }
    for ours, expected in theirs.items():
        assert ours(tp, fp, fn) == pytest.approx(expected, abs=1e-12)
    assert f_beta(tp, fp, fn, beta=0.5) == pytest.approx(fbeta_score(target, pred, beta=0.5, zero_division=0))


@given(st.tuples(*[st.integers(0, 2**52)] * 3))
def test_identities(counts: tuple[int, int, int]) -> None:
    tp, fp, fn = counts
    d, j = dice(tp, fp, fn), iou(tp, fp, fn)
    if tp + fp + fn:
        assert d == pytest.approx(2 * j / (1 + j))
        assert dice(tp, fn, fp) == pytest.approx(d)
        assert precision(tp, fp, fn) == recall(tp, fn, fp)
        assert 0 <= j <= d <= 1
    else:
        assert np.isnan(d)


def test_a_missed_case_never_improves_a_mean() -> None:
    found = np.array([VALID])
    with_missed = np.array([VALID, MISSED])
    for score in (dice, iou, precision, recall):
        before, after = (mean_over_cases(score(*c.T), *c.T).mean for c in (found, with_missed))
        assert after < before


def test_means_come_with_the_states_behind_them() -> None:
    counts = np.array([VALID, DISJOINT, MISSED, FALSE_ALARM, EMPTY, EMPTY]).T
    result = mean_over_cases(dice(*counts), *counts)
    assert result.mean == pytest.approx(0.75 / 4)
    assert (result.n_cases, result.n_defined) == (6, 4)
    assert (result.n_valid, result.n_missed, result.n_false_alarm, result.n_empty) == (2, 1, 1, 2)
    nothing = mean_over_cases([NAN], [0], [0], [0])
    assert math.isnan(nothing.mean)
    assert nothing.n_defined == 0


def test_huge_counts_stay_exact() -> None:
    assert dice(2**24 + 1, 0, 0) == 1
    assert iou(2**53, 0, 2**53) == 0.5


def test_wrong_arguments() -> None:
    with pytest.raises(ValueError, match='beta must be a positive number'):
        f_beta(1, 1, 1, beta=0)
    with pytest.raises(ValueError, match='both_empty must be one of'):
        dice(1, 1, 1, both_empty='nan')
    with pytest.raises(ValueError, match='one_sided'):
        recall(1, 1, 1, one_sided='one')
    with pytest.raises(ValueError, match='fp must not be negative'):
        dice(1, -1, 1)
    with pytest.raises(TypeError, match='tp must hold integers'):
        dice(0.5, 1, 1)
    with pytest.raises(ValueError, match='one shape'):
        dice([1, 2], [1], [1])
    with pytest.raises(ValueError, match='one shape'):
        mean_over_cases([0.5], [1, 2], [1, 2], [1, 2])
