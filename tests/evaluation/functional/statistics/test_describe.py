import math
import warnings

import numpy as np
import pytest
import torch

from mmseg_medical.evaluation.functional.statistics import Description, bootstrap_interval, describe

NAN = math.nan


@pytest.fixture(autouse=True)
def _no_warning():
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        yield


def equal(first: Description, second: Description) -> bool:
    fields = ('mean', 'median', 'std', 'ci_low', 'ci_high', 'n')
    return np.array_equal([getattr(first, f) for f in fields], [getattr(second, f) for f in fields], equal_nan=True)


def test_by_hand() -> None:
    result = describe(np.array([1.0, 2.0, 6.0, 7.0]))
    interval = bootstrap_interval(np.array([1.0, 2.0, 6.0, 7.0]), 'mean', 0.95, 9999, 0)
    assert (result.mean, result.median, result.n) == (4.0, 4.0, 4)
    assert result.std == pytest.approx(math.sqrt(26 / 3))
    assert (result.ci_low, result.ci_high) == (interval.low, interval.high)


def test_options_reach_the_interval() -> None:
    values = torch.tensor([0.1, 0.5, 0.7, 0.95])
    interval = bootstrap_interval(values, 'mean', 0.8, 77, 5)
    result = describe(values, 0.8, 77, 5)
    assert (result.ci_low, result.ci_high) == (interval.low, interval.high)
    assert (result.ci_low, result.ci_high) != (describe(values).ci_low, describe(values).ci_high)


def test_default_options() -> None:
    values = np.random.default_rng(0).normal(size=30)
    interval = bootstrap_interval(values, 'mean', confidence=0.95, num_resamples=9999, seed=0)
    result = describe(values)
    assert (result.ci_low, result.ci_high) == (interval.low, interval.high)


def test_nothing_and_one_value() -> None:
    assert equal(describe(np.zeros(0)), Description(NAN, NAN, NAN, NAN, NAN, 0))
    assert equal(describe(np.array([0.7])), Description(0.7, 0.7, NAN, NAN, NAN, 1))
    assert equal(describe(np.array([math.inf])), Description(math.inf, math.inf, NAN, NAN, NAN, 1))
    assert equal(describe(np.array([0.5, 0.5])), Description(0.5, 0.5, 0.0, 0.5, 0.5, 2))


def test_infinite_values() -> None:
    inf = math.inf
    assert equal(describe(np.array([1.0, 2.0, inf])), Description(inf, 2.0, NAN, NAN, NAN, 3))
    assert equal(describe(np.array([-inf, 2.0, inf])), Description(NAN, 2.0, NAN, NAN, NAN, 3))
    assert equal(describe(np.array([-inf, inf])), Description(NAN, NAN, NAN, NAN, NAN, 2))


def test_undefined_values_are_refused() -> None:
    with pytest.raises(ValueError, match=r'^values holds 1 undefined values \(NaN\) among 2'):
        describe(np.array([1.0, NAN]))
