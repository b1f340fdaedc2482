"""Headers whose axes are not at right angles."""

import warnings

import numpy as np
import pytest
import SimpleITK
from affines import orientations, sheared, tilted

from mmseg_medical.geometry import Grid, Volume, orthonormalise, read_volume, shear_degrees, write_volume


def leaning(degrees):
    affine = np.diag([1.0, 2.0, 3.0, 1.0])
    affine[:3, 1] = 2 * np.array([np.sin(np.radians(degrees)), np.cos(np.radians(degrees)), 0])
    affine[:3, 3] = (5, 6, 7)
    return affine


@pytest.mark.parametrize('degrees', [0.001, 1, 30])
def test_degrees(degrees):
    assert shear_degrees(Grid((2, 3, 5), leaning(degrees))) == pytest.approx(degrees, rel=1e-6)
    assert shear_degrees(Volume(np.zeros((2, 3)), leaning(-degrees))) == pytest.approx(degrees, rel=1e-6)


def test_right_angles():
    for affine in [*orientations(), tilted()]:
        assert shear_degrees(Grid((2, 3, 5), affine)) < 1e-6
    assert shear_degrees(Grid((2, 3), None)) == 0
    across = np.eye(4)
    across[0, 2] = 1
    assert shear_degrees(Grid((2, 3), across)) == 0  # of a plane only its own axes count


@pytest.mark.parametrize('size', [(11, 7, 5), (11, 7)])
def test_nearest_right_angles(size):
    volume = Volume(np.zeros((*size, 2)), leaning(2), 'a.nii', has_channels=True)
    with pytest.warns(UserWarning, match=r'^a\.nii: axes that deviate by 2 degrees .* moved by up to 0\.\d+ mm'):
        straight = orthonormalise(volume)
    assert shear_degrees(straight) < 1e-6
    np.testing.assert_allclose(straight.spacing_mm, volume.spacing_mm)
    centre = [*((n - 1) / 2 for n in size), *[0] * (3 - len(size)), 1]
    np.testing.assert_allclose(straight.affine @ centre, volume.affine @ centre)
    assert (straight.array is volume.array, straight.source, straight.has_channels) == (True, 'a.nii', True)
    # both axes turn by half of it
    along = straight.affine[:2, 0] / np.linalg.norm(straight.affine[:2, 0])
    assert np.degrees(np.arctan2(-along[1], along[0])) == pytest.approx(1, abs=1e-6)


def test_nothing_to_do():
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        for affine in (None, tilted(), np.diag([-1, -1, 2, 1])):
            volume = Volume(np.zeros((2, 3, 5)), affine)
            assert orthonormalise(volume) is volume
        rounded = orthonormalise(Volume(np.zeros((2, 3, 5)), leaning(0.01)))
    assert shear_degrees(rounded) < 1e-6


@pytest.mark.parametrize('name', ['a.nii', 'a.nii.gz', 'a.nrrd', 'a.mha'])
def test_files_are_read_as_they_are_and_that_is_said(tmp_path, name):
    volume = Volume(np.random.default_rng(0).integers(0, 9, (3, 5, 7)).astype(np.int16), sheared())
    write_volume(volume, tmp_path / name)
    with pytest.warns(UserWarning, match=rf'{name}: its axes deviate by 7\.5\d degrees from right angles; kept'):
        read = read_volume(tmp_path / name)
    np.testing.assert_allclose(read.affine, sheared(), atol=1e-6)
    write_volume(volume, tmp_path / name, like=read)


def test_itk_takes_what_was_put_right(tmp_path):
    volume = Volume(np.zeros((3, 5, 7), np.int16), leaning(1), 'a.nii')
    write_volume(volume, tmp_path / 'a.nii')
    with pytest.raises(RuntimeError):
        SimpleITK.ReadImage(str(tmp_path / 'a.nii'))
    with pytest.warns(UserWarning, match='put at right angles'):
        write_volume(orthonormalise(volume), tmp_path / 'a.nii')
    assert SimpleITK.ReadImage(str(tmp_path / 'a.nii')).GetSize() == (3, 5, 7)
