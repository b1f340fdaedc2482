"""From file to file with a network that changes nothing."""

import itertools

import numpy as np
import pytest
from affines import orientations

from mmseg_medical.geometry import (
    CropPad,
    Grid,
    Reorient,
    Resample,
    Volume,
    axis_directions,
    check_grid,
    read_labels,
    restore,
    restore_labels,
    write_volume,
)

SPACINGS = [(1.0, 1.0, 1.0), (0.75, 1.5, 4.0), (0.9765625, 0.9765625, 3.0), (2.0, 1.25, 1.1), (0.7, 0.7, 0.7)]
SIZES = [(13, 9, 7), (5, 17, 3)]


def affine_of(number, spacing):
    affine = orientations()[number]
    affine[:3, :3] = np.sign(affine[:3, :3]) * spacing
    return affine


def labels_of(size):
    return np.random.default_rng(0).integers(0, 4, size).astype(np.uint8)


def identity_scores(labels):
    return (labels == np.arange(4)[:, None, None, None]).astype(np.float32)


def prepared(grid, spacing_mm):
    """Steps of a pipeline: turn, resample, fill up to what a network takes."""
    turned = Reorient.plan(grid, 'RAS')
    scaled = Resample.plan(turned.target, spacing_mm=spacing_mm)
    size = tuple(-(-n // 8) * 8 for n in scaled.target.size)
    return [turned, scaled, CropPad.plan(scaled.target, size=size)]


def applied(array, steps, order):
    for step in steps:
        array = step.apply(array, order)
    return array


@pytest.mark.parametrize('size', SIZES, ids=str)
@pytest.mark.parametrize('spacing', SPACINGS, ids=str)
def test_own_spacing(spacing, size):
    labels = labels_of(size)
    for number in range(48):
        grid = Grid(size, affine_of(number, spacing))
        turned = Reorient.plan(grid, 'RAS').target
        steps = prepared(grid, turned.spacing_mm)
        inside = applied(labels, steps, 'nearest')
        assert axis_directions(steps[-1].target) == 'RAS'
        np.testing.assert_array_equal(restore_labels(identity_scores(inside), steps), labels)
        np.testing.assert_array_equal(restore(inside, steps, 'label_linear'), labels)
        np.testing.assert_allclose(steps[0].inverse().target.affine, grid.affine, rtol=0, atol=1e-6)


@pytest.mark.parametrize('spacing', SPACINGS, ids=str)
def test_finer_voxels(spacing):
    """Where a voxel is made of at least two along each axis, its label outweighs its neighbours' on the way back."""
    labels = labels_of(SIZES[0])
    for number in range(48):
        grid = Grid(SIZES[0], affine_of(number, spacing))
        steps = prepared(grid, tuple(0.45 * s for s in Reorient.plan(grid, 'RAS').target.spacing_mm))
        inside = applied(labels, steps, 'nearest')
        np.testing.assert_array_equal(restore_labels(identity_scores(inside), steps), labels)
        np.testing.assert_array_equal(restore(inside, steps, 'nearest'), labels)


def test_each_voxel_stays_in_its_place():
    """The places in millimetres, taken for an image, are at their places on every grid of the way."""
    for number, spacing in itertools.product(range(0, 48, 3), SPACINGS[:2]):
        grid = Grid((9, 8, 7), affine_of(number, spacing))
        world = np.moveaxis(np.indices(grid.size), 0, -1) @ grid.affine[:3, :3].T + grid.affine[:3, 3]
        steps = [Reorient.plan(grid, 'RAS')]
        steps.append(Resample.plan(steps[0].target, size=(7, 11, 6), anisotropy=np.inf))
        steps.append(CropPad.plan(steps[1].target, box=((2, 5), (2, 9), (2, 4))))
        found = applied(np.moveaxis(world, -1, 0), steps, 'linear')
        affine = steps[-1].target.affine
        expected = np.moveaxis(np.indices(found.shape[1:]), 0, -1) @ affine[:3, :3].T + affine[:3, 3]
        np.testing.assert_allclose(found, np.moveaxis(expected, -1, 0), atol=1e-9)


@pytest.mark.parametrize('suffix', ['.nii', '.nii.gz', '.nrrd', '.mha'])
def test_through_files(tmp_path, suffix):
    for number, spacing in zip(range(0, 48, 4), itertools.cycle(SPACINGS)):
        written = Volume(labels_of(SIZES[1]), affine_of(number, spacing))
        write_volume(written, tmp_path / f'in{suffix}')
        image = read_labels(tmp_path / f'in{suffix}')
        steps = prepared(image.grid, tuple(0.45 * s for s in SPACINGS[0]))
        scores = identity_scores(applied(image.array, steps, 'nearest'))
        result = Volume(restore_labels(scores, steps), steps[0].source.affine)
        write_volume(result, tmp_path / f'out{suffix}', like=image)
        back = read_labels(tmp_path / f'out{suffix}')
        np.testing.assert_array_equal(back.array, written.array)
        np.testing.assert_allclose(back.affine, image.affine, rtol=0, atol=1e-12)
        np.testing.assert_allclose(back.affine, written.affine, rtol=0, atol=1e-6)


def test_nothing_is_written_onto_another_grid(tmp_path):
    image = Volume(labels_of((3, 4, 5)), orientations()[3], 'image.nii')
    turned = Reorient.plan(image.grid, 'RAS')
    result = Volume(turned.apply(image.array), turned.target.affine, 'result')
    for like in (image, image.grid):
        with pytest.raises(
            ValueError, match=r'^result: expected the grid of image\.nii, found the affines differ .*Undo'
        ):
            write_volume(result, tmp_path / 'a.nii', like=like)
    shifted = image.affine.copy()
    shifted[0, 3] += 1
    with pytest.raises(ValueError, match=r'found the affines differ by up to 1 mm \(row 0, column 3'):
        write_volume(Volume(image.array, shifted), tmp_path / 'a.nii', like=image)
    with pytest.raises(ValueError, match='has no affine'):
        check_grid(Volume(image.array, None), image)
    assert not list(tmp_path.iterdir())
    check_grid(image, image.grid)


@pytest.mark.realdata
def test_hippocampus(realdata, tmp_path):
    files = sorted((realdata / 'Task04_Hippocampus' / 'labelsTr').glob('hippocampus_*.nii.gz'))[::20]
    assert len(files) > 5
    for path in files:
        labels = read_labels(path)
        for spacing in ((1, 1, 1), (0.5, 0.5, 0.5)):
            steps = prepared(labels.grid, spacing)
            scores = identity_scores(applied(labels.array, steps, 'nearest'))
            write_volume(Volume(restore_labels(scores, steps), labels.affine), tmp_path / 'a.nii.gz', like=labels)
            back = read_labels(tmp_path / 'a.nii.gz')
            np.testing.assert_array_equal(back.array, labels.array)
            np.testing.assert_array_equal(back.affine, labels.affine)
