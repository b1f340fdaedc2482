"""Risk over coverage: closed forms, ties against all orders."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from mmseg_medical.evaluation.functional import risk_coverage


def area(risks):
    """Area of one order, by its definition."""
    return np.mean(np.cumsum(risks) / np.arange(1, len(risks) + 1))


def test_the_last_is_wrong():
    curve = risk_coverage(np.arange(10), np.arange(10) == 9)
    np.testing.assert_allclose(curve.coverage, np.arange(1, 11) / 10)
    np.testing.assert_allclose(curve.risk, [0] * 9 + [0.1])
    assert curve.aurc == pytest.approx(0.01)
    assert curve.excess == pytest.approx(0, abs=1e-12)
    assert curve.full_risk == pytest.approx(0.1)
    assert curve.number == 10


def test_the_first_is_wrong():
    curve = risk_coverage(np.arange(4), np.arange(4) == 0)
    assert curve.aurc == pytest.approx((1 + 1 / 2 + 1 / 3 + 1 / 4) / 4)
    assert curve.optimal == pytest.approx(1 / 16)
    assert curve.excess == pytest.approx(25 / 48 - 3 / 48)


def test_an_uncertainty_that_says_nothing():
    risks = np.random.default_rng(0).random((7, 5, 3))
    curve = risk_coverage(np.full(risks.shape, 0.3), risks)
    assert curve.aurc == pytest.approx(risks.mean())
    assert curve.aurc == pytest.approx(curve.full_risk)
    np.testing.assert_allclose(curve.coverage, [1])


@pytest.mark.parametrize('keys', [(1, 1, 0, 1, 2, 2), (0, 0, 0, 1, 1, 1), (3, 2, 2, 2, 2, 1)])
def test_ties_are_the_mean_over_all_orders(keys):
    risks = np.array([0.9, 0.1, 0.4, 0.0, 1.0, 0.3])
    areas = [area(risks[list(order)]) for order in itertools.permutations(range(6)) if sorted_by(order, keys)]
    assert len(areas) > 1
    assert risk_coverage(np.array(keys), risks).aurc == pytest.approx(np.mean(areas), abs=1e-12)


def sorted_by(order, keys):
    return all(keys[a] <= keys[b] for a, b in itertools.pairwise(order))


def test_any_scale_and_order():
    rng = np.random.default_rng(1)
    keys, risks = rng.random(101), rng.random(101) < 0.3
    curve = risk_coverage(keys, risks)
    assert curve.aurc == pytest.approx(area(risks[np.argsort(keys)]))
    assert curve.optimal == pytest.approx(area(np.sort(risks)))
    mixed = rng.permutation(101)
    other = risk_coverage(np.exp(5 * keys[mixed][::-1]), risks[mixed][::-1])
    assert other.aurc == pytest.approx(curve.aurc)
    np.testing.assert_allclose(other.risk, curve.risk)
    assert curve.optimal <= curve.aurc


def test_many_values():
    keys = np.random.default_rng(2).random(200_000).astype(np.float32)
    curve = risk_coverage(keys, keys > 0.9)
    assert curve.excess == pytest.approx(0, abs=1e-9)
    # the integral over c of max(0, 1 - 0.9 / c)
    assert curve.aurc == pytest.approx(0.1 + 0.9 * np.log(0.9), abs=1e-3)
    coverage, risk = curve.thinned(50)
    assert len(coverage) == len(risk) == 50
    assert (coverage[-1], risk[-1]) == (1, curve.full_risk)


@pytest.mark.parametrize(
    ('uncertainty', 'risk', 'message'),
    [
        (np.zeros(3), np.zeros(4), 'one shape'),
        (np.zeros(0), np.zeros(0), 'one shape'),
        (np.array([0, np.nan]), np.zeros(2), 'finite'),
        (np.zeros(2), np.array([np.inf, 0]), 'finite'),
    ],
)
def test_what_has_no_curve(uncertainty, risk, message):
    with pytest.raises(ValueError, match=message):
        risk_coverage(uncertainty, risk)


def test_one_value():
    curve = risk_coverage(np.array([2.0]), np.array([True]))
    assert (curve.aurc, curve.optimal, curve.full_risk) == (1, 1, 1)
