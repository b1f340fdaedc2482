import numpy as np
import pytest
import torch

from mmseg_medical.evaluation.functional.statistics.values import as_defined_values, as_values, paired_differences


@pytest.mark.parametrize(
    'values',
    [
        np.array([3, 1, 2], np.uint16),
        np.array([2, 9, 1, 9, 3], np.float16)[::-2],
        torch.tensor([3.0, 1.0, 2.0], requires_grad=True),
        [3, 1, 2],
    ],
)
def test_reads_what_holds_numbers(values) -> None:
    result = as_values(values, 'dice')
    assert result.dtype == np.float64
    assert result.tolist() == [3, 1, 2]
    assert as_defined_values(values, 'dice').tolist() == [3, 1, 2]


def test_keeps_nan_and_infinity() -> None:
    assert np.array_equal(as_values(np.array([np.nan, np.inf]), 'hd'), [np.nan, np.inf], equal_nan=True)
    assert as_defined_values(np.array([np.inf, -np.inf]), 'hd').tolist() == [np.inf, -np.inf]
    assert as_values(np.zeros(0), 'hd').shape == (0,)


def test_refuses_other_shapes_and_types() -> None:
    with pytest.raises(ValueError, match=r'^dice must have shape \(N,\), one value a case, got shape \(2, 3\)$'):
        as_values(np.zeros((2, 3)), 'dice')
    with pytest.raises(ValueError, match=r'got shape \(\)$'):
        as_values(np.array(1.0), 'dice')
    with pytest.raises(TypeError, match=r'^dice must hold real numbers, got torch.complex128$'):
        as_values(np.zeros(2, complex), 'dice')


def test_nan_is_for_the_caller_to_leave_out() -> None:
    with pytest.raises(ValueError, match='undefined') as error:
        as_defined_values(np.array([1, np.nan, np.nan]), 'dice')
    assert str(error.value) == (
        'dice holds 2 undefined values (NaN) among 3; leave these cases out first (values[~np.isnan(values)]) and '
        'report how many they were'
    )


def test_differences_of_pairs() -> None:
    inf = np.inf
    assert paired_differences([3, 1, inf, -inf, inf, 2], [1, 4, inf, -inf, 0, inf]).tolist() == [2, -3, 0, 0, inf, -inf]


def test_pairs_must_match_and_be_defined() -> None:
    with pytest.raises(ValueError, match=r'^a and b must hold the same cases in the same order, got 2 and 3$'):
        paired_differences(np.zeros(2), np.zeros(3))
    with pytest.raises(ValueError, match='undefined') as error:
        paired_differences([np.nan, 1, 2, np.nan], [1, np.nan, 2, np.nan])
    assert str(error.value) == (
        '3 of 4 pairs are undefined (NaN in a or b); leave these cases out of both first and report how many they were'
    )
    with pytest.raises(ValueError, match=r'^b must have shape'):
        paired_differences([1], [[1]])
    with pytest.raises(ValueError, match=r'^a must have shape'):
        paired_differences([[1]], [1])
