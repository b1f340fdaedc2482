"""Other voxels over the same field of view."""

import json
import math

import numpy as np
import pytest
import torch
from affines import orientations, sheared, tilted
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from mmseg_medical.geometry import Grid, GridStep, Resample, Volume, resample

SIZES = [((5, 7, 11), (5, 7, 11)), ((5, 7, 11), (10, 3, 13)), ((1, 7, 2), (3, 1, 2)), ((13, 1, 5), (1, 4, 17))]


def image(size, lead=(), dtype=np.float32):
    return np.random.default_rng(0).standard_normal((*lead, *size)).astype(dtype)


def places(old, new):
    return [(np.arange(m) + 0.5) * n / m - 0.5 for n, m in zip(old, new, strict=True)]


@pytest.mark.parametrize(('old', 'new'), SIZES)
def test_linear_against_torch(old, new):
    array = image(old, (2, 3), np.float64)
    expected = torch.nn.functional.interpolate(torch.from_numpy(array), size=new, mode='trilinear').numpy()
    result = Resample.plan(Grid(old, None), size=new).apply(array)
    assert result.flags.c_contiguous
    np.testing.assert_allclose(result, expected, atol=1e-12)
    single = Resample.plan(Grid(old, None), size=new).apply(array.astype(np.float32))
    assert single.dtype == np.float32
    np.testing.assert_allclose(single, expected, atol=1e-6)


@pytest.mark.parametrize(('old', 'new'), SIZES)
def test_against_scipy(old, new):
    array = image(old, dtype=np.float64)
    grid = np.meshgrid(*places(old, new), indexing='ij')
    step = Resample.plan(Grid(old, None), size=new)
    expected = ndimage.map_coordinates(array, grid, order=1, mode='nearest')
    np.testing.assert_allclose(step.apply(array), expected, atol=1e-12)
    nearest = [np.floor(place + 0.5 + 1e-9).astype(int) for place in places(old, new)]
    np.testing.assert_array_equal(step.apply(array, order='nearest'), array[np.ix_(*nearest)])


@pytest.mark.parametrize(('old', 'new'), [(7, 7), (7, 12), (12, 5), (1, 4), (2, 5)])
def test_cubic_is_that_of_keys(old, new):
    def kernel(x):
        x = abs(x)
        if x < 1:
            return 1.5 * x**3 - 2.5 * x**2 + 1
        return -0.5 * x**3 + 2.5 * x**2 - 4 * x + 2 if x < 2 else 0.0

    line = image((old,), dtype=np.float64)
    expected = [
        sum(line[min(max(i, 0), old - 1)] * kernel(x - i) for i in range(math.floor(x) - 1, math.floor(x) + 3))
        for x in places((old,), (new,))[0]
    ]
    result = Resample.plan(Grid((old, 1), None), size=(new, 1)).apply(line[:, None], order='cubic')
    np.testing.assert_allclose(result[:, 0], expected, atol=1e-12)


def test_cubic_keeps_parabolas():
    line = (np.arange(20) - 7.0) ** 2
    result = Resample.plan(Grid((1, 20), None), size=(1, 33)).apply(line[None], order='cubic')[0]
    np.testing.assert_allclose(result[4:-4], (places((20,), (33,))[0][4:-4] - 7) ** 2, atol=1e-10)


@pytest.mark.parametrize('affine', [orientations()[17], tilted(), sheared()])
def test_values_of_places_stay_at_their_places(affine):
    old, new = (9, 8, 7), (12, 5, 9)
    world = np.moveaxis(np.moveaxis(np.indices(old), 0, -1) @ affine[:3, :3].T + affine[:3, 3], -1, 0)
    step = Resample.plan(Grid(old, affine), size=new, anisotropy=math.inf)
    expected = np.moveaxis(np.indices(new), 0, -1) @ step.target.affine[:3, :3].T + step.target.affine[:3, 3]
    inside = (slice(None), *(slice(2, -2) for _ in new))  # beyond the outer centres the outer value goes on
    for order in ('linear', 'cubic'):
        found = step.apply(world, order=order)
        np.testing.assert_allclose(
            found[inside][:, 1:-1, :, 1:-1], np.moveaxis(expected, -1, 0)[inside][:, 1:-1, :, 1:-1]
        )


def test_the_field_of_view_stays():
    grid = Grid((7, 5, 3), tilted())
    step = Resample.plan(grid, spacing_mm=(1, 1, 1))
    assert step.target.size == (4, 10, 9)  # 7 x 0.5, 5 x 2 and 3 x 3 mm
    np.testing.assert_allclose(step.target.spacing_mm, (3.5 / 4, 1, 1))
    for corner in (0, 1):
        edges = [one.affine @ [*(corner * n - 0.5 for n in one.size), 1] for one in (step.source, step.target)]
        np.testing.assert_allclose(*edges, atol=1e-12)
    assert Resample.plan(grid, spacing_mm=(99, 99, 99)).target.size == (1, 1, 1)


@pytest.mark.parametrize('order', ['nearest', 'linear', 'cubic'])
@pytest.mark.parametrize('dtype', ['float16', 'float32', 'float64', 'int16', 'uint8', 'int32', 'bool'])
def test_types(order, dtype):
    array = (image((4, 5)) * 10).astype(dtype)
    result = Resample.plan(Grid((4, 5), None), size=(3, 9)).apply(array, order=order)
    same = order == 'nearest' or dtype.startswith('float')
    assert result.dtype == (dtype if same else 'float64' if dtype == 'int32' else 'float32')
    identity = Resample.plan(Grid((4, 5), None), size=(4, 5)).apply(array, order=order)
    assert identity.dtype == array.dtype
    np.testing.assert_array_equal(identity, array)


def test_nearly_the_same_spacing_changes_nothing():
    grid = Grid((35, 51, 32), np.diag([1, 0.9999999, 1.000001, 1]))
    step = Resample.plan(grid, spacing_mm=(1, 1, 1))
    assert step.target == grid
    array = image(grid.size)
    assert np.shares_memory(step.apply(array, order='cubic'), array)
    volume = Volume(array, grid.affine)
    assert resample(volume, (1, 1, 1)) is volume


def test_constants_are_exact():
    for order in ('nearest', 'linear'):
        result = Resample.plan(Grid((7, 9, 3), None), size=(13, 4, 8)).apply(np.full((7, 9, 3), 0.1, np.float32), order)
        assert (result == np.float32(0.1)).all()


@pytest.mark.parametrize('view', [np.s_[::-1, ::2, :], np.s_[..., ::-1], np.s_[:, ::-2, ::3]])
def test_views(view):
    array = image((6, 10, 9))[view]
    step = Resample.plan(Grid(array.shape, None), size=(4, 8, 5))
    for order in ('nearest', 'linear', 'cubic'):
        np.testing.assert_array_equal(step.apply(array, order), step.apply(array.copy(), order))


def test_thick_slices_are_not_mixed():
    grid = Grid((8, 9, 4), np.diag([1, 1, 3.5, 1]))
    step = Resample.plan(grid, spacing_mm=(1.5, 1.5, 1))
    assert step.coarse_axis == 2
    array = image(grid.size)
    slices = Resample.plan(Grid((8, 9), None), size=step.target.size[:2])
    nearest = Resample.plan(Grid((4, 1), None), size=(14, 1)).apply(np.arange(4)[:, None], 'nearest')[:, 0]
    for order in ('linear', 'cubic'):
        result = step.apply(array, order)
        for k, source in enumerate(nearest):
            np.testing.assert_allclose(result[..., k], slices.apply(array[..., source], order), atol=1e-6)
    assert step.inverse().coarse_axis == 2
    assert Resample.plan(grid, spacing_mm=(1.5, 1.5, 1), anisotropy=math.inf).coarse_axis is None
    # from thin slices to thick ones the target decides
    assert Resample.plan(step.target, spacing_mm=(1, 1, 3.5)).coarse_axis == 2


@pytest.mark.parametrize(
    ('spacing', 'axis'),
    [((1, 1, 3), None), ((1, 1, 3.01), 2), ((5, 1, 1), 0), ((1, 2, 5), 2), ((0.24, 1.25, 1.25), None), ((1, 9), None)],
)
def test_which_axis_is_coarse(spacing, axis):
    grid = Grid((4,) * len(spacing), np.diag([*spacing, 1, 1][:4] if len(spacing) == 2 else [*spacing, 1]))
    assert Resample.plan(grid, spacing_mm=spacing).coarse_axis == axis


@given(st.integers(0, 2**31), st.tuples(*[st.integers(1, 9)] * 3), st.tuples(*[st.integers(1, 12)] * 3))
@settings(max_examples=25, deadline=None)
def test_label_linear_is_the_largest_of_linear_indicators(seed, old, new):
    labels = np.random.default_rng(seed).choice([0, 3, 7, 200], old).astype(np.uint8)
    step = Resample.plan(Grid(old, None), size=new)
    present = np.unique(labels)
    shares = np.stack([step.apply((labels == label).astype(np.float32)) for label in present])
    result = step.apply(labels, order='label_linear')
    assert result.dtype == np.uint8
    np.testing.assert_array_equal(result, present[shares.argmax(axis=0)])


def test_label_linear_in_slabs(monkeypatch):
    labels = np.random.default_rng(0).integers(-2, 3, (2, 11, 9, 8)).astype(np.int16)
    step = Resample.plan(Grid((11, 9, 8), np.diag([1, 1, 4, 1])), spacing_mm=(0.7, 1.3, 1))
    whole = step.apply(labels, order='label_linear')
    monkeypatch.setattr('mmseg_medical.geometry.resampling._LABEL_SLAB', 1)
    np.testing.assert_array_equal(step.apply(labels, order='label_linear'), whole)


def test_out_and_back():
    step = Resample.plan(Grid((11, 9, 8), tilted()), spacing_mm=(0.25, 0.7, 1))
    array = image((11, 9, 8), (2,))
    np.testing.assert_array_equal(step.invert(step.apply(array, 'nearest'), 'nearest'), array)
    assert step.inverse().target == step.source
    assert step.inverse().inverse() == step
    assert GridStep.from_dict(json.loads(json.dumps(step.to_dict()))) == step


def test_of_a_volume():
    volume = Volume(image((4, 5, 6, 2)), np.diag([1, 1, 2, 1]), 'a.nii', has_channels=True)
    result = resample(volume, (2, 1, 1))
    assert (result.size, result.spacing_mm, result.source, result.has_channels) == (
        (2, 5, 12),
        (2, 1, 1),
        'a.nii',
        True,
    )
    alone = resample(Volume(volume.array[..., 1], volume.affine), (2, 1, 1))
    np.testing.assert_array_equal(result.array[..., 1], alone.array)


def test_refusals():
    grid = Grid((3, 4), np.eye(4), 'a.nii')
    for arguments in ({}, dict(size=(1, 1), spacing_mm=(1, 1))):
        with pytest.raises(ValueError, match='give spacing_mm or size'):
            Resample.plan(grid, **arguments)
    for spacing in ((1,), (1, 0), (1, -1), (1, math.nan), (1, math.inf), (1, 1, 1)):
        with pytest.raises(ValueError, match='spacing_mm must be 2 positive numbers, got'):
            Resample.plan(grid, spacing_mm=spacing)
    for size in ((1,), (1, 0)):
        with pytest.raises(ValueError, match='expected 2 axes of at least one voxel'):
            Resample.plan(grid, size=size)
    with pytest.raises(ValueError, match='expected 2 axes of at least one voxel'):
        Resample.plan(Grid((3, 0), None), size=(3, 1))
    with pytest.raises(ValueError, match=r'^a\.npy has no affine, so nobody knows its spacing; resample it by size'):
        resample(Volume(np.zeros((3, 4)), None, 'a.npy'), (1, 1))
