"""Comparing grids and moving labels between them."""

import numpy as np
import pytest
from affines import orientations, sheared, tilted
from hypothesis import given, settings
from hypothesis import strategies as st

from mmseg_medical.geometry import Grid, Volume, grid_difference, resample_like


def volume(size, affine=None, name='', seed=0):
    return Volume(np.random.default_rng(seed).integers(0, 5, size, np.uint8), affine, name)


def test_equal_grids():
    assert grid_difference(volume((2, 3, 4), sheared()), volume((2, 3, 4), sheared(), seed=1)) is None
    assert grid_difference(volume((2, 3)), volume((2, 3))) is None


def test_sizes():
    a, b = volume((2, 3, 4), np.eye(4), 'a.nii'), volume((2, 3, 5), np.eye(4), 'b.nii')
    assert grid_difference(a, b) == 'a.nii has size (2, 3, 4), b.nii has (2, 3, 5)'
    assert 'size' in grid_difference(volume((2, 3)), volume((2, 3, 1)))


def test_tolerance_is_inclusive():
    moved = np.eye(4)
    moved[1, 3] = 0.25
    a, b = volume((2, 3, 4), np.eye(4), 'a.nii'), volume((2, 3, 4), moved, 'b.nii')
    assert grid_difference(a, b, tolerance_mm=0.25) is None
    assert grid_difference(a, b, tolerance_mm=0.2499) == (
        'the affines differ by up to 0.25 mm (row 1, column 3; tolerance 0.2499): '
        'a.nii has [[1 0 0 0], [0 1 0 0], [0 0 1 0]], b.nii has [[1 0 0 0], [0 1 0 0.25], [0 0 1 0]]'
    )


@pytest.mark.parametrize(('shift', 'differs'), [(9e-4, False), (-9e-4, False), (1.1e-3, True), (-1.1e-3, True)])
def test_default_tolerance(shift, differs):
    moved = np.eye(4)
    moved[2, 2] += shift
    assert (grid_difference(volume((2, 3, 4), np.eye(4)), volume((2, 3, 4), moved)) is not None) == differs


@pytest.mark.parametrize('swapped', [False, True])
def test_one_without_affine(swapped):
    pair = [volume((2, 3), None, 'a.npy'), volume((2, 3), np.eye(4), 'b.nii')]
    assert grid_difference(*pair[:: -1 if swapped else 1]) == 'a.npy has no affine, b.nii has one'


def test_same_grid_is_the_same_volume():
    a = volume((3, 5, 7), tilted())
    assert resample_like(a, volume((3, 5, 7), tilted(), seed=1)) is a


def test_every_orientation_of_the_same_voxels():
    a = volume((3, 5, 7), np.array([[2.0, 0, 0, 1], [0, 3, 0, 2], [0, 0, 4, 3], [0, 0, 0, 1]]), 'a.nii')
    for orientation in orientations():
        turn = np.sign(orientation[:3, :3])  # rows: axes of a, columns: axes of the turned array
        order = np.abs(turn).argmax(axis=0)
        flipped = turn.sum(axis=0) < 0
        turned = np.flip(a.array.transpose(order), np.flatnonzero(flipped))
        index = np.eye(4)
        index[:3, :3] = turn
        index[order, 3] = np.where(flipped, np.array(turned.shape) - 1, 0)
        reference = Volume(np.zeros(turned.shape), a.affine @ index)
        back = resample_like(a, reference)
        np.testing.assert_array_equal(back.array, turned)
        np.testing.assert_array_equal(back.affine, reference.affine)
        assert (back.array.dtype, back.source) == (np.uint8, 'a.nii')


def test_doubling_repeats_voxels():
    a = volume((3, 4, 5), np.eye(4))
    fine = np.diag([0.5, 0.5, 0.5, 1])
    fine[:3, 3] = -0.25
    doubled = resample_like(a, Volume(np.zeros((6, 8, 10)), fine))
    np.testing.assert_array_equal(doubled.array, a.array.repeat(2, 0).repeat(2, 1).repeat(2, 2))


def test_ties_go_up_whatever_the_rounding():
    labels = np.arange(1, 41, dtype=np.uint8).reshape(40, 1, 1)
    for origin in (0.0, 0.1, 1e3 + 1 / 3):
        affine = np.diag([0.1, 1, 1, 1])
        affine[0, 3] = origin
        half = np.diag([0.2, 1, 1, 1])
        half[0, 3] = origin + 0.05  # half-way between voxels 0 and 1
        taken = resample_like(Volume(labels, affine), Volume(np.zeros((20, 1, 1)), half)).array
        np.testing.assert_array_equal(taken[:-1, 0, 0], labels[1::2, 0, 0][:-1])


def test_outside_is_zero_and_the_outer_half_voxel_is_not():
    labels = np.full((2, 1, 1), 9, np.int16)
    shifted = np.eye(4)
    shifted[0, 3] = -1.4
    taken = resample_like(Volume(labels, np.eye(4)), Volume(np.zeros((5, 1, 1)), shifted)).array
    assert taken.dtype == np.int16
    assert taken[:, 0, 0].tolist() == [0, 9, 9, 0, 0]


@pytest.mark.parametrize(
    'array', [np.zeros((4, 6, 5), np.uint8)[::-1, ::2], np.asfortranarray(np.ones((4, 3, 5), bool))]
)
def test_views_and_bools(array):
    grid = np.eye(4)
    grid[0, 3] = 1
    taken = resample_like(Volume(array, np.eye(4)), Volume(np.zeros(array.shape), grid)).array
    np.testing.assert_array_equal(taken[:-1], array[1:])
    assert not taken[-1].any()


def test_planes():
    a = volume((5, 7), np.eye(4), 'a.nii')
    moved = np.eye(4)
    moved[1, 3] = 2
    taken = resample_like(a, Volume(np.zeros((5, 7)), moved)).array
    np.testing.assert_array_equal(taken[:, :5], a.array[:, 2:])
    moved[2, 3] = 1
    with pytest.raises(ValueError, match=r'^a\.nii and b\.nii lie nowhere in the same place'):
        resample_like(a, Volume(np.zeros((5, 7)), moved, 'b.nii'))


@pytest.mark.parametrize('shift', [-3, 4])
def test_far_apart(shift):
    moved = np.eye(4)
    moved[0, 3] = shift
    with pytest.raises(ValueError, match='nothing to resample'):
        resample_like(volume((4, 4, 4), np.eye(4)), Volume(np.zeros((3, 4, 4)), moved))


@given(st.integers(0, 47), st.integers(0, 47), st.integers(0, 2**31))
@settings(max_examples=25, deadline=None)
def test_against_the_definition(i, j, seed):
    a = volume((4, 3, 5), orientations()[i] @ tilted(13), seed=seed)
    reference = Volume(np.zeros((5, 6, 2)), orientations()[j])
    try:
        taken = resample_like(a, reference).array
    except ValueError:
        taken = np.zeros(reference.size)
    index = np.indices(reference.size).reshape(3, -1)
    place = np.linalg.inv(a.affine) @ reference.affine @ np.vstack([index, np.ones(index.shape[1])])
    nearest = np.floor(place[:3] + 0.5 + 1e-6).astype(int)
    inside = ((nearest >= 0) & (nearest < np.array(a.size)[:, None])).all(axis=0)
    expected = np.where(inside, a.array[tuple(np.where(inside, nearest, 0))], 0)
    np.testing.assert_array_equal(taken.reshape(-1), expected)


@pytest.mark.parametrize('affine', [tilted(13), orientations()[31], sheared()])
def test_linear_images_of_places_stay_at_their_places(affine):
    a = Volume(np.moveaxis(np.indices((9, 8, 7)), 0, -1) @ affine[:3, :3].T + affine[:3, 3], affine, has_channels=True)
    inner = affine @ np.array([[0.4, 0, 0, 2], [0.2, 0.5, 0, 1], [0, 0.1, 0.7, 1], [0, 0, 0, 1]])
    taken = resample_like(a, Grid((8, 9, 6), inner), order='linear')
    expected = np.moveaxis(np.indices((8, 9, 6)), 0, -1) @ inner[:3, :3].T + inner[:3, 3]
    np.testing.assert_allclose(taken.array, expected, atol=1e-9)
    assert (taken.has_channels, taken.size) == (True, (8, 9, 6))


def test_linear_to_the_edge_of_the_outer_voxels_and_not_beyond():
    line = np.array([[[10]], [[20]]], np.int16)
    fine = np.diag([0.4, 1, 1, 1])
    fine[0, 3] = -0.9
    taken = resample_like(Volume(line, np.eye(4)), Grid((8, 1, 1), fine), order='linear', fill=-5)
    assert taken.array.dtype == np.float32  # at -0.9, -0.5, ... 1.9
    np.testing.assert_allclose(taken.array[:, 0, 0], [-5, 10, 10, 13, 17, 20, -5, -5], atol=1e-5)


@pytest.mark.parametrize('dtype', ['float32', 'float64', 'uint8'])
def test_linear_planes(dtype):
    a = Volume((np.random.default_rng(0).random((5, 7)) * 100).astype(dtype), np.eye(4))
    moved = np.eye(4)
    moved[1, 3] = 1.5
    taken = resample_like(a, Grid((5, 5), moved), order='linear').array
    assert taken.dtype == ('float32' if dtype == 'uint8' else dtype)
    np.testing.assert_allclose(taken, (a.array[:, 1:6].astype(float) + a.array[:, 2:7]) / 2, rtol=1e-6)


def test_linear_on_the_same_grid_is_the_same_volume():
    a = Volume(np.zeros((3, 5, 7), np.float32), tilted())
    assert resample_like(a, a.grid, order='linear') is a


def test_refusals():
    a = volume((2, 3, 4), np.eye(4), 'a.nii')
    moved = volume((2, 3, 4), tilted(), 'b.nii')
    with pytest.raises(ValueError, match="order must be 'nearest' or 'linear', got 'cubic'"):
        resample_like(a, moved, order='cubic')
    with pytest.raises(TypeError, match=r'a\.nii: expected real numbers, found complex128'):
        resample_like(Volume(np.zeros((2, 3, 4), complex), np.eye(4), 'a.nii'), moved, order='linear')
    with pytest.raises(TypeError, match=r'a\.nii: expected integer labels, found float32'):
        resample_like(Volume(np.zeros((2, 3, 4), np.float32), np.eye(4), 'a.nii'), moved)
    with pytest.raises(ValueError, match=r'x\.npy has no affine'):
        resample_like(a, volume((2, 3, 4), None, 'x.npy'))
    with pytest.raises(ValueError, match=r'x\.npy has no affine'):
        resample_like(volume((2, 3, 4), None, 'x.npy'), a)
    with pytest.raises(ValueError, match=r'a\.nii: expected 2 axes, found size \(2, 3, 4\)$'):
        resample_like(a, volume((2, 3), np.eye(4)))
    with pytest.raises(ValueError, match=r'expected 3 axes, found size \(2, 3, 4\) with channels'):
        resample_like(Volume(np.zeros((2, 3, 4, 2), int), np.eye(4), has_channels=True), moved)
