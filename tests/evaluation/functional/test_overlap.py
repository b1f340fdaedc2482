import math
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import f1_score, fbeta_score, jaccard_score, precision_score, recall_score

from mmseg_medical.evaluation.functional import (
    dice,
    f_beta,
    iou,
    mean_over_cases,
    precision,
    recall,
    relative_volume_error,
    specificity,
    states_of,
    volume_mm3,
)

NAN = math.nan
# state: (tp, fp, fn)
VALID, DISJOINT, MISSED, FALSE_ALARM, EMPTY = (3, 1, 1), (0, 2, 3), (0, 0, 5), (0, 4, 0), (0, 0, 0)


def states(counts: np.ndarray) -> np.ndarray:
    tp, fp, fn = counts
    return states_of(tp + fp, tp + fn)


@pytest.mark.parametrize(
    ('score', 'options', 'expected'),
    [
        (dice, {}, (0.75, 0, 0, 0, NAN)),
        (dice, {'empty': 'perfect'}, (0.75, 0, 0, 0, 1)),
        (dice, {'empty': 'infinite'}, (0.75, 0, 0, 0, NAN)),
        (dice, {'empty': 'exclude'}, (0.75, 0, NAN, NAN, NAN)),
        (dice, {'empty': {'empty': 'worst'}}, (0.75, 0, 0, 0, 0)),
        (iou, {}, (0.6, 0, 0, 0, NAN)),
        (iou, {'empty': 'perfect'}, (0.6, 0, 0, 0, 1)),
        (f_beta, {'beta': 2.0}, (15 / 20, 0, 0, 0, NAN)),
        (f_beta, {'beta': 2.0, 'empty': 'exclude'}, (0.75, 0, NAN, NAN, NAN)),
        (precision, {}, (0.75, 0, 0, 0, NAN)),
        (precision, {'empty': {'missed': 'undefined'}}, (0.75, 0, NAN, 0, NAN)),
        (precision, {'empty': 'perfect'}, (0.75, 0, 0, 0, 1)),
        (recall, {}, (0.75, 0, 0, 0, NAN)),
        (recall, {'empty': {'false_alarm': 'undefined'}}, (0.75, 0, 0, NAN, NAN)),
        (recall, {'empty': 'perfect'}, (0.75, 0, 0, 0, 1)),
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
        before, after = (mean_over_cases(score(*c.T), states(c.T)).mean for c in (found, with_missed))
        assert after < before


def test_means_come_with_the_states_behind_them() -> None:
    counts = np.array([VALID, DISJOINT, MISSED, FALSE_ALARM, EMPTY, EMPTY]).T
    result = mean_over_cases(dice(*counts), states(counts))
    assert result.mean == pytest.approx(0.75 / 4)
    assert (result.n_cases, result.n_defined) == (6, 4)
    assert (result.n_valid, result.n_missed, result.n_false_alarm, result.n_empty) == (2, 1, 1, 2)
    nothing = mean_over_cases([NAN], [3])
    assert math.isnan(nothing.mean)
    assert nothing.n_defined == 0


def test_huge_counts_stay_exact() -> None:
    assert dice(2**24 + 1, 0, 0) == 1
    assert iou(2**53, 0, 2**53) == 0.5


def test_wrong_arguments() -> None:
    with pytest.raises(ValueError, match='beta must be a positive number'):
        f_beta(1, 1, 1, beta=0)
    with pytest.raises(ValueError, match='beta must be a positive number, got -1'):
        f_beta(1, 1, 1, beta=-1)
    with pytest.raises(
        ValueError, match=re.escape("empty must be one of strict, perfect, infinite, exclude, got 'exlude'. Did")
    ):
        dice(1, 1, 1, empty='exlude')
    with pytest.raises(ValueError, match='beta must be a positive number, got inf'):
        f_beta(1, 1, 1, beta=math.inf)
    with pytest.raises(ValueError, match='fp must not be negative'):
        dice(1, -1, 1)
    with pytest.raises(TypeError, match='tp must hold integers'):
        dice(0.5, 1, 1)
    with pytest.raises(ValueError, match='one shape'):
        dice([1, 2], [1], [1])
    with pytest.raises(ValueError, match='one shape'):
        mean_over_cases([0.5], [1, 2])
    with pytest.raises(ValueError, match=re.escape('one shape (N,), got (2,) and (1,)')):
        mean_over_cases([0.5, 0.5], [1])
    with pytest.raises(ValueError, match=re.escape('one shape (N,), got (1, 2) and (1, 2)')):
        mean_over_cases([[0.5, 0.5]], [[0, 0]])
    with pytest.raises(ValueError, match=re.escape('values and states must have one shape (N,), got () and ()')):
        mean_over_cases(0.5, 1)


def test_specificity_follows_its_formula_in_every_state() -> None:
    np.testing.assert_array_equal(specificity([1, 0, 3, 0], [3, 5, 0, 0]), [0.75, 1, 0, NAN])
    with pytest.raises(ValueError, match='tn must not be negative, got -1'):
        specificity(0, -1)
    with pytest.raises(ValueError, match='fp, tn must have one shape'):
        specificity([0, 1], [1])


def test_volumes() -> None:
    np.testing.assert_allclose(volume_mm3([0, 1, 10], (0.5, 2, 3)), [0, 3, 30])
    assert volume_mm3(7, (0.5, 0.5)) == 1.75
    with pytest.raises(ValueError, match='spacing_mm must be positive'):
        volume_mm3(7, (0.5, 0))
    tp, fp, fn = np.array([VALID, (2, 4, 1), MISSED, FALSE_ALARM, EMPTY]).T
    np.testing.assert_allclose(relative_volume_error(tp, fp, fn), [0, 1, -1, NAN, NAN])
