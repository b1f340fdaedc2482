"""Voxels that are no numbers."""

import numpy as np
import pytest

from mmseg_medical.geometry import Volume, check_finite


@pytest.mark.parametrize('dtype', ['uint8', 'int64', 'bool', 'float16', 'float32', 'float64', 'complex64'])
def test_numbers(dtype):
    check_finite(Volume(np.ones((3, 4, 5), dtype), None))


def test_large_ones_are_numbers():
    check_finite(Volume(np.full((30, 40), np.finfo(np.float64).max), None))
    check_finite(Volume(np.full((30, 40), np.finfo(np.float16).max, np.float16), None))


@pytest.mark.parametrize(
    ('values', 'found'),
    [
        ([np.nan], '1 NaN and 0 infinite of 60 voxels'),
        ([np.inf], '0 NaN and 1 infinite'),
        ([np.inf, -np.inf], '0 NaN and 2 infinite'),
        ([np.nan, -np.inf, np.nan], '2 NaN and 1 infinite'),
    ],
)
@pytest.mark.parametrize('dtype', ['float16', 'float32', 'float64'])
def test_others(values, found, dtype):
    array = np.zeros((3, 4, 5), dtype)
    array[1, 2, 1 : 1 + len(values)] = values
    with pytest.raises(
        ValueError, match=rf'^a\.nii: expected finite values, found {found}.*, the first at \(1, 2, 1\)'
    ):
        check_finite(Volume(array, None, 'a.nii'))
