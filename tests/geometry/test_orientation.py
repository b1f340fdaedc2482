"""Axes in anatomical order."""

import itertools

import nibabel
import numpy as np
import pytest
import torch
from affines import orientations, sheared, tilted

from mmseg_medical.geometry import Grid, GridStep, Reorient, Volume, axis_directions, reorient

CODES = [
    ''.join(letters) for order in itertools.permutations(('LR', 'PA', 'IS')) for letters in itertools.product(*order)
]


def values(size, lead=(), seed=0):
    return np.random.default_rng(seed).integers(0, 1000, (*lead, *size)).astype(np.int16)


@pytest.mark.parametrize('affine', orientations()[::3], ids=lambda affine: nibabel.aff2axcodes(affine))
def test_against_nibabel(affine):
    image = nibabel.Nifti1Image(values((2, 3, 5)), affine)
    grid = Grid((2, 3, 5), affine)
    assert axis_directions(grid) == ''.join(nibabel.aff2axcodes(affine))
    for code in CODES:
        turn = nibabel.orientations.ornt_transform(
            nibabel.io_orientation(affine), nibabel.orientations.axcodes2ornt(code)
        )
        expected = image.as_reoriented(turn)
        step = Reorient.plan(grid, code)
        np.testing.assert_array_equal(step.apply(values((2, 3, 5))), np.asarray(expected.dataobj))
        np.testing.assert_allclose(step.target.affine, expected.affine, atol=1e-12)
        assert axis_directions(step.target) == code


@pytest.mark.parametrize('affine', [tilted(40), tilted(50), tilted(-100), sheared()])
def test_oblique_axes_count_for_the_nearest_direction(affine):
    grid = Grid((2, 3, 5), affine)
    assert axis_directions(grid) == ''.join(nibabel.aff2axcodes(affine))
    step = Reorient.plan(grid, 'RAS')
    assert (np.diag(step.target.affine)[:3] > 0).all()
    np.testing.assert_allclose(np.abs(np.linalg.det(step.target.affine)), np.abs(np.linalg.det(affine)))


def test_there_and_back():
    for affine in orientations():
        step = Reorient.plan(Grid((2, 3, 5), affine), 'RAS')
        array = values((2, 3, 5), (4, 2))[..., ::-1]  # leading axes, negative strides
        turned = step.apply(array, order='label_linear')
        assert turned.flags.c_contiguous
        np.testing.assert_array_equal(step.invert(turned), array)
        assert step.inverse().target == step.source
        assert step.inverse().inverse() == step
        assert GridStep.from_dict(step.to_dict()) == step


def test_torch_takes_axes_of_one_voxel():
    step = Reorient.plan(Grid((1, 3, 1), np.diag([-1, -1, -1, 1])), 'RAS')
    for array in (values((1, 3, 1)), values((1, 3, 1), (2,))[..., ::-1]):
        torch.from_numpy(step.apply(array))


def test_planes():
    grid = Grid((3, 5), orientations()[0][:, [1, 0, 2, 3]])  # down the columns x, along the rows y
    assert axis_directions(grid) == 'AR'
    for code in ('RAS', 'RSA', 'SRA'):
        step = Reorient.plan(grid, code)
        assert axis_directions(step.target) == 'RA'
        np.testing.assert_array_equal(step.apply(values((3, 5), (2,))), values((3, 5), (2,)).transpose(0, 2, 1))
        np.testing.assert_array_equal(step.invert(step.apply(values((3, 5)))), values((3, 5)))
    flipped = Reorient.plan(grid, 'LAS')
    np.testing.assert_array_equal(flipped.apply(values((3, 5))), values((3, 5)).T[::-1])


def test_of_a_volume():
    volume = Volume(values((2, 3, 5, 4)), orientations()[29], 'a.nii', has_channels=True)
    turned = reorient(volume, 'lps')
    assert axis_directions(turned.grid) == 'LPS'
    assert (turned.source, turned.has_channels, turned.array.shape[-1]) == ('a.nii', True, 4)
    assert np.shares_memory(turned.array, volume.array)
    back = reorient(turned, axis_directions(volume.grid))
    np.testing.assert_array_equal(back.array, volume.array)
    np.testing.assert_allclose(back.affine, volume.affine, atol=1e-12)
    assert reorient(back, 'RAS').rank == 3


@pytest.mark.parametrize('axes', ['RA', 'RAL', 'XYZ', 'RASA', '', None, 3])
def test_letters_that_are_refused(axes):
    with pytest.raises(ValueError, match=r"one letter each of R or L, A or P and S or I, e\.g\. 'RAS', got"):
        Reorient.plan(Grid((2, 3, 5), np.eye(4)), axes)


def test_without_affine():
    with pytest.raises(ValueError, match=r'^photo\.png has no affine, so nobody knows where its axes point'):
        reorient(Volume(np.zeros((2, 3)), None, 'photo.png'))
    with pytest.raises(ValueError, match='has no affine'):
        axis_directions(Grid((2, 3), None))
