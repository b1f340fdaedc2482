"""An image and its place."""

import dataclasses

import numpy as np
import pytest
from affines import orientations, sheared

from mmseg_medical.geometry import Volume


def test_spacing_follows_the_array_axes():
    for affine in orientations():
        assert Volume(np.zeros((2, 3, 5)), affine).spacing_mm == (0.75, 1.5, 4.0)
    assert Volume(np.zeros((2, 3)), orientations()[0]).spacing_mm == (0.75, 1.5)


def test_spacing_of_directions_that_are_not_orthogonal_is_their_length():
    expected = (1.0, np.hypot(0.2, 1.5), np.hypot(0.1, 2))
    np.testing.assert_allclose(Volume(np.zeros((2, 3, 4)), sheared()).spacing_mm, expected, rtol=1e-15)


def test_without_geometry():
    volume = Volume(np.zeros((2, 3)), None)
    assert volume.spacing_mm is None
    assert (volume.rank, volume.size, volume.name) == (2, (2, 3), 'volume')


def test_channels_are_no_place():
    volume = Volume(np.zeros((2, 3, 4)), np.diag([1, 2, 3, 1]), 'photo.png', has_channels=True)
    assert (volume.rank, volume.size, volume.spacing_mm, volume.name) == (2, (2, 3), (1.0, 2.0), 'photo.png')
    assert Volume(np.zeros((2, 3, 4, 2)), np.eye(4), has_channels=True).rank == 3


def test_affine_is_a_copy_that_stays():
    affine = np.eye(4, dtype=np.float32)
    volume = Volume(np.zeros((2, 3, 4)), affine)
    affine[0, 3] = 7
    assert volume.affine.dtype == np.float64
    assert volume.affine[0, 3] == 0
    with pytest.raises(ValueError, match='read-only'):
        volume.affine[0, 0] = 2
    with pytest.raises(dataclasses.FrozenInstanceError):
        volume.affine = None


@pytest.mark.parametrize('shape', [(3,), (2, 3, 4, 5)])
def test_number_of_axes(shape):
    with pytest.raises(ValueError, match=rf'^x\.nii: expected two or three spatial axes, found \({shape[0]},'):
        Volume(np.zeros(shape), None, 'x.nii')
    with pytest.raises(ValueError, match='spatial axes and one of channels, found'):
        Volume(np.zeros((2, 3)), None, has_channels=True)


def test_no_array():
    with pytest.raises(TypeError, match='must be a NumPy array, got list'):
        Volume([[1]], None)


@pytest.mark.parametrize(
    ('affine', 'message'),
    [
        (np.eye(3), r'must have shape \(4, 4\), got \(3, 3\)'),
        (np.diag([1, np.nan, 1, 1]), 'must be finite'),
        (np.diag([1, np.inf, 1, 1]), 'must be finite'),
        (np.diag([1, 1, 1, 2]), r'last row of the affine must be 0 0 0 1, got \[0.0, 0.0, 0.0, 2.0\]'),
        (np.diag([1, 0, 1, 1]), r'spacing must be positive along each axis, got \(1.0, 0.0, 1.0\) mm'),
        (np.array([[1, 2, 0, 0], [1, 2, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]), 'singular'),
    ],
)
def test_unusable_affines(affine, message):
    with pytest.raises(ValueError, match='^case.nii: .*' + message):
        Volume(np.zeros((2, 3, 4)), affine, 'case.nii')


def test_tiny_voxels_are_not_singular():
    assert Volume(np.zeros((2, 3, 4)), np.diag([1e-6, 1e-6, 1e-6, 1])).spacing_mm == (1e-6, 1e-6, 1e-6)
