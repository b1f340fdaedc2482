import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mmseg_medical.evaluation.functional.statistics import holm


def test_by_hand() -> None:
    # 4 * 0.005, 3 * 0.01, 2 * 0.03, and 0.04 raised to its predecessor
    assert holm(np.array([0.01, 0.04, 0.03, 0.005])).tolist() == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm(np.array([0.6, 0.02])).tolist() == pytest.approx([0.6, 0.04])
    assert holm(np.array([0.6, 0.7])).tolist() == [1, 1]
    assert holm(torch.tensor([0.25])).tolist() == [0.25]
    assert holm(np.array([0.0, 1.0])).tolist() == [0, 1]
    assert holm(np.zeros(0)).shape == (0,)


def test_tests_that_could_not_be_done_do_not_count() -> None:
    result = holm(np.array([math.nan, 0.02, math.nan, 0.5]))
    assert np.array_equal(result, [math.nan, 0.04, math.nan, 0.5], equal_nan=True)
    assert np.isnan(holm(np.array([math.nan]))).all()


@pytest.mark.parametrize('wrong', [-0.25, 1.5, math.inf])
def test_refuses_what_is_no_probability(wrong: float) -> None:
    with pytest.raises(ValueError, match=rf'^p_values must lie in 0..1, got {wrong:g}$'):
        holm(np.array([0.5, math.nan, wrong]))


@settings(max_examples=50, deadline=None)
@given(st.lists(st.floats(0, 1), min_size=1, max_size=8), st.randoms())
def test_properties(numbers: list[float], random) -> None:
    p = np.array(numbers)
    adjusted = holm(p)
    assert (adjusted >= p).all()
    assert (adjusted <= np.minimum(p * p.size, 1)).all()
    assert (np.diff(adjusted[np.argsort(p)]) >= 0).all()
    order = list(range(p.size))
    random.shuffle(order)
    assert holm(p[order]).tolist() == adjusted[order].tolist()
    # by the definition: the largest factor times p among those that are not larger
    for value, result in zip(p, adjusted, strict=True):
        ordered = np.sort(p)
        assert result == min(1, max((p.size - i) * q for i, q in enumerate(ordered) if q <= value))
