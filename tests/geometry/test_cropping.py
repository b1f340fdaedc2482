"""Cutting and padding."""

import json

import numpy as np
import pytest
from affines import tilted
from hypothesis import given, settings
from hypothesis import strategies as st

from mmseg_medical.geometry import CropPad, Grid, GridStep


def values(size, lead=()):
    return np.random.default_rng(0).integers(1, 1000, (*lead, *size)).astype(np.float32)


@pytest.mark.parametrize(
    ('have', 'want', 'start'), [(5, 3, 1), (6, 3, 1), (5, 2, 1), (3, 5, -1), (3, 6, -1), (2, 5, -1), (4, 4, 0)]
)
def test_centred(have, want, start):
    step = CropPad.plan(Grid((have, 3), None), size=(want, 3))
    assert (step.start, step.target.size) == ((start, 0), (want, 3))


@given(st.lists(st.tuples(st.integers(1, 7), st.integers(-4, 8), st.integers(1, 9)), min_size=2, max_size=3))
@settings(max_examples=60, deadline=None)
def test_against_np_pad(axes):
    size = tuple(n for n, _, _ in axes)
    box = tuple((start, start + length) for _, start, length in axes)
    step = CropPad.plan(Grid(size, None), box=box)
    array = values(size, (2,))
    padded = np.pad(array, [(0, 0), *[(20, 20)] * len(size)], constant_values=-1)
    expected = padded[(slice(None), *(slice(a + 20, b + 20) for a, b in box))]
    result = step.apply(array, fill=-1)
    assert result.flags.c_contiguous
    np.testing.assert_array_equal(result, expected)
    inside = np.pad(np.ones(size), 20)[tuple(slice(a + 20, b + 20) for a, b in box)]
    back = step.invert(result * inside)
    kept = step.invert(np.ones((1, *step.target.size)))[0]
    np.testing.assert_array_equal(back, array * kept)
    if all(a <= 0 and b >= n for (a, b), n in zip(box, size, strict=True)):  # nothing was cut
        np.testing.assert_array_equal(back, array)
    assert GridStep.from_dict(json.loads(json.dumps(step.to_dict()))) == step


def test_voxels_stay_where_they_are():
    grid = Grid((5, 6, 7), tilted())
    step = CropPad.plan(grid, box=((1, 4), (-2, 9), (3, 5)))
    np.testing.assert_allclose(step.target.affine @ (1, 4, 1, 1), grid.affine @ (2, 2, 4, 1), atol=1e-12)
    assert step.inverse().target == grid


def test_fill_by_channel():
    step = CropPad.plan(Grid((1, 2), None), size=(1, 4))
    filled = step.apply(np.full((2, 1, 2), 5, np.uint8), fill=(7, 9))
    assert filled.tolist() == [[[7, 5, 5, 7]], [[9, 5, 5, 9]]]
    assert filled.dtype == np.uint8


def test_refusals():
    grid = Grid((3, 4), None)
    for arguments in ({}, dict(size=(1, 1), box=((0, 1), (0, 1)))):
        with pytest.raises(ValueError, match='give size or box'):
            CropPad.plan(grid, **arguments)
    for arguments in (dict(size=(1, 1, 1)), dict(size=(0, 1)), dict(box=((2, 2), (0, 1))), dict(box=((0, 1),))):
        with pytest.raises(ValueError, match='expected 2 axes of at least one voxel, found size'):
            CropPad.plan(grid, **arguments)
    step = CropPad.plan(grid, size=(2, 2))
    with pytest.raises(ValueError, match=r'CropPad: expected an array whose last 2 axes have the size \(3, 4\), found'):
        step.apply(np.zeros((4, 3)))
    with pytest.raises(ValueError, match=r'size \(2, 2\), found shape \(2,\)'):
        step.invert(np.zeros(2))
    with pytest.raises(ValueError, match="order must be one of nearest, linear, cubic, label_linear, got 'best'"):
        step.apply(np.zeros((3, 4)), order='best')
    with pytest.raises(TypeError, match='expected real numbers, found complex128'):
        step.apply(np.zeros((3, 4), complex))
    with pytest.raises(TypeError, match='expected integer labels, found float64'):
        step.apply(np.zeros((3, 4)), order='label_linear')


def test_steps_of_no_known_type():
    with pytest.raises(ValueError, match=r"expected a grid step of type CropPad, .*Reorient, Resample, found 'Rotate'"):
        GridStep.from_dict({'type': 'Rotate'})
