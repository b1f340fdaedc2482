import math
import warnings

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from mmseg_medical.evaluation.functional.statistics import Interval, bootstrap_interval
from mmseg_medical.evaluation.functional.statistics import bootstrap as module


@pytest.fixture(autouse=True)
def _no_warning():
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        yield


def sample(size: int = 23) -> np.ndarray:
    return np.random.default_rng(5).beta(8, 2, size)


def sample_std(values: np.ndarray, axis: int) -> np.ndarray:
    return np.std(values, ddof=1, axis=axis)


REFERENCES = {'mean': np.mean, 'median': np.median, 'std': sample_std}


@pytest.mark.parametrize('statistic', REFERENCES)
@pytest.mark.parametrize(('size', 'confidence'), [(13, 0.8), (23, 0.95), (24, 0.5), (60, 0.99)])
def test_equals_scipy_number_by_number(statistic: str, size: int, confidence: float) -> None:
    values = sample(size)
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')
        expected = stats.bootstrap(
            (values,),
            REFERENCES[statistic],
            confidence_level=confidence,
            n_resamples=999,
            method='BCa',
            rng=np.random.default_rng(3),
        ).confidence_interval
    ours = bootstrap_interval(values, statistic, confidence, 999, 3)
    # fewer values have resamples that are tied but for rounding, which the reference tells apart
    assert ours.low == pytest.approx(expected.low, abs=1e-12)
    assert ours.high == pytest.approx(expected.high, abs=1e-12)


def test_defaults() -> None:
    values = sample()
    assert bootstrap_interval(values) == bootstrap_interval(values, 'mean', 0.95, 9999, 0)
    assert bootstrap_interval(values) != bootstrap_interval(values, seed=1)
    assert bootstrap_interval(values) != bootstrap_interval(values, num_resamples=9998)


def test_of_two_values_the_ends_are_the_values() -> None:
    assert bootstrap_interval(np.array([0.0, 1.0])) == Interval(0.0, 1.0)


@pytest.mark.parametrize('cells', [1, 23, 24, 23 * 100 + 22])
def test_pieces_change_nothing(cells: int, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = bootstrap_interval(sample(), num_resamples=301)
    monkeypatch.setattr(module, '_CHUNK', cells)
    drawn = []
    function = module._STATISTICS['mean']
    monkeypatch.setitem(module._STATISTICS, 'mean', lambda v: drawn.append(v.shape) or function(v))
    assert bootstrap_interval(sample(), num_resamples=301) == whole
    rows = [shape[0] for shape in drawn if len(shape) == 2]
    assert sum(rows) == 301
    assert max(rows) == max(1, cells // 23)


def test_memory_is_bounded_by_default() -> None:
    assert module._CHUNK == 1 << 20


@pytest.mark.parametrize('statistic', ['mean', 'median', 'std'])
def test_too_little_to_say(statistic: str) -> None:
    for values in ([], [0.7], [0.7, math.inf], [-math.inf, 0.2, 0.3]):
        interval = bootstrap_interval(np.array(values), statistic)
        assert math.isnan(interval.low)
        assert math.isnan(interval.high)


def test_equal_values_have_no_width() -> None:
    values = np.full(7, 0.1)  # whose rounded mean is another number
    assert bootstrap_interval(values) == Interval(0.1, 0.1)
    assert bootstrap_interval(values, 'median') == Interval(0.1, 0.1)
    assert bootstrap_interval(values, 'std') == Interval(0.0, 0.0)
    assert bootstrap_interval(np.zeros(3)) == Interval(0.0, 0.0)


def test_median_that_no_single_case_moves() -> None:
    values = np.array([0.1, 0.9, 0.9, 0.9, 0.9, 0.9, 1.0])
    assert bootstrap_interval(values, 'median') == Interval(0.9, 0.9)
    assert module._acceleration(values, module._median) == 0
    assert module._acceleration(values * 1e-20, module._median) == 0


def test_two_values_are_symmetric() -> None:
    for function in module._STATISTICS.values():
        assert module._acceleration(np.array([1.0, 5.0]), function) == 0
    interval = bootstrap_interval(np.array([0.0, 2.0]), 'std')
    assert (interval.low, interval.high) == pytest.approx((0, math.sqrt(2)))


def test_acceleration_by_hand() -> None:
    # means without one case: 6, 5.5, 3.5; influences -1, -0.5, 1.5 of 6 sum-of-squares^1.5 = 6 * 3.5^1.5
    assert module._acceleration(np.array([3.0, 4.0, 8.0]), module._mean) == pytest.approx(2.25 / (6 * 3.5**1.5))


def test_levels_by_hand() -> None:
    resampled = np.arange(100.0)
    # half of the resamples below, no skewness: the plain percentile interval
    assert module._levels(resampled, 49.5, 0.0, 0.9) == pytest.approx([0.05, 0.95])
    # a tie counts half: 20.5 % below
    bias, tail = stats.norm.ppf(0.205), stats.norm.ppf(0.95)
    assert module._levels(resampled, 20.0, 0.0, 0.9) == pytest.approx(
        stats.norm.cdf([2 * bias - tail, 2 * bias + tail])
    )
    # accelerated, equation 14.10 of Efron and Tibshirani
    ends = [bias + (bias + z) / (1 - 0.1 * (bias + z)) for z in (-tail, tail)]
    assert module._levels(resampled, 20.0, 0.1, 0.9) == pytest.approx(stats.norm.cdf(ends))


def test_an_estimate_outside_all_resamples_has_finite_levels() -> None:
    resampled = np.arange(100.0)
    for estimate, share in ((-1.0, 0.005), (100.0, 0.995)):
        bias, tail = stats.norm.ppf(share), stats.norm.ppf(0.95)
        levels = module._levels(resampled, estimate, 0.0, 0.9)
        assert levels == pytest.approx(stats.norm.cdf([2 * bias - tail, 2 * bias + tail]))


def test_rounding_does_not_break_ties() -> None:
    resampled = np.array([0.3, 0.1 + 0.2, 0.3, 0.1 + 0.2])
    for estimate in (0.3, 0.1 + 0.2):
        assert module._levels(resampled, estimate, 0.0, 0.9) == pytest.approx([0.05, 0.95])
    # two values, balanced: symmetric about the mean, whatever the order of the sums
    values = np.array([0.1] * 5 + [0.9] * 5)
    interval = bootstrap_interval(values)
    assert interval.low + interval.high == pytest.approx(1, abs=0.09)


def test_one_resample() -> None:
    interval = bootstrap_interval(sample(), num_resamples=1)
    assert interval.low == interval.high


def test_holds_the_true_mean_about_as_often_as_it_says() -> None:
    rng = np.random.default_rng(0)
    intervals = [bootstrap_interval(rng.exponential(size=40), 'mean', 0.9, 499) for _ in range(300)]
    held = np.mean([i.low <= 1 <= i.high for i in intervals])
    assert 0.83 < held < 0.94


@settings(max_examples=20, deadline=None)
@given(st.lists(st.integers(0, 1000), min_size=2, max_size=12), st.sampled_from(['mean', 'median', 'std']))
def test_lies_within_the_range_and_moves_with_the_values(numbers: list[int], statistic: str) -> None:
    values = np.array(numbers) / 1000
    interval = bootstrap_interval(values, statistic, num_resamples=200)
    assert interval.low <= interval.high
    if statistic != 'std':
        assert values.min() - 1e-12 <= interval.low
        assert interval.high <= values.max() + 1e-12
    scaled = bootstrap_interval(4 * values, statistic, num_resamples=200)
    assert (scaled.low, scaled.high) == pytest.approx((4 * interval.low, 4 * interval.high))


def test_wider_with_more_confidence() -> None:
    narrow, wide = (bootstrap_interval(sample(), confidence=c) for c in (0.5, 0.99))
    assert wide.low < narrow.low < sample().mean() < narrow.high < wide.high


def test_leaves_its_input_alone() -> None:
    values = torch.tensor([0.5, 0.1, 0.9])
    assert bootstrap_interval(values) == bootstrap_interval(values.double().numpy())
    assert values.tolist() == pytest.approx([0.5, 0.1, 0.9])


def test_errors() -> None:
    values = sample()
    with pytest.raises(ValueError, match=r'^values holds 1 undefined values'):
        bootstrap_interval(np.array([0.1, np.nan]))
    with pytest.raises(ValueError, match=r"^statistic must be one of mean, median, std, got 'mode'$"):
        bootstrap_interval(values, 'mode')
    for confidence in (0, 1, 95, -0.1, math.nan):
        with pytest.raises(ValueError, match=rf'^confidence must lie between 0 and 1, got {confidence}; 95 % is 0.95$'):
            bootstrap_interval(values, confidence=confidence)
    with pytest.raises(ValueError, match=r'^num_resamples must be at least 1, got 0$'):
        bootstrap_interval(values, num_resamples=0)
