"""Coordinates of images within their case, and grids of smaller voxels."""

import itertools

import numpy as np
import pytest

from mmseg_medical.datasets.transforms.simulate_scale import FirstOfBlock
from mmseg_medical.geometry import CropPad, Frame, Grid, Reorient, Resample, refine_grid, refine_steps, restore


def oblique(size=(7, 5, 9)) -> Grid:
    """Axes L, I, A with spacings 1.5, 2 and 0.5 mm, turned a little."""
    angle = 0.3
    turn = np.array([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]])
    affine = np.eye(4)
    affine[:3, :3] = turn @ np.array([[-1.5, 0, 0], [0, 0, 0.5], [0, -2, 0]])
    affine[:3, 3] = (3, -4, 5)
    return Grid(size, affine)


def lines(frame: Frame, size) -> list[np.ndarray]:
    return [f + s * np.arange(n) for f, s, n in zip(frame.first, frame.step, size, strict=True)]


def assert_lines(frame: Frame, size, expected) -> None:
    for ours, wanted in zip(lines(frame, size), expected, strict=True):
        np.testing.assert_allclose(ours, wanted, atol=1e-12)


@pytest.mark.parametrize('size', [(7, 5, 9), (1, 2, 13), (4, 1)])
def test_a_case_goes_from_minus_one_to_one(size):
    assert_lines(Frame.whole(size), size, [np.linspace(-1, 1, n) for n in size])
    grid = Grid(size, np.diag([1.0, 2, 3, 1]))
    assert_lines(Frame.within(grid, grid.affine), size, [np.linspace(-1, 1, n) for n in size])


def test_steps_keep_the_place_of_every_voxel():
    """Turned, padded and cut: a voxel has the coordinates that it has in the turned case as a whole."""
    native = oblique()
    turned = Reorient.plan(native, 'RAS')
    moved = CropPad.plan(turned.target, box=[(-2, 6), (3, 8), (-1, 4)])
    case = [np.linspace(-1, 1, n) for n in turned.target.size]
    assert_lines(Frame.within(native, turned.target.affine), turned.target.size, case)
    steps = [np.diff(line)[0] for line in case]
    expected = [
        line[0] + step * np.arange(start, stop)
        for line, step, (start, stop) in zip(case, steps, [(-2, 6), (3, 8), (-1, 4)], strict=True)
    ]
    frame = Frame.within(native, moved.target.affine)
    assert_lines(frame, moved.target.size, expected)
    assert_lines(frame.at((2, 0, 1)), (3, 3, 3), [line[s : s + 3] for line, s in zip(expected, (2, 0, 1), strict=True)])


def test_resampling_keeps_the_field_of_view():
    native = Grid((8, 6, 4), np.diag([1.0, 1, 1, 1]))
    fine = Resample.plan(native, size=(16, 6, 2)).target
    frame = Frame.within(native, fine.affine)
    # centres of half voxels lie a quarter of a voxel before and behind those of whole ones
    assert lines(frame, fine.size)[0][:2] == pytest.approx([-1 - 0.25 * 2 / 7, -1 + 0.25 * 2 / 7])
    assert lines(frame, fine.size)[2] == pytest.approx([-1 + 0.5 * 2 / 3, 1 - 0.5 * 2 / 3])


def test_mirrored_cases_keep_their_coordinates():
    size = (5, 1, 4)
    whole = Frame.whole(size)
    assert whole.mirrored((0, 1), size) == whole
    window, extent = whole.at((1, 0, -2)), (3, 1, 3)
    mirrored = window.mirrored((0, 1, 2), extent)
    for axis, (before, after) in enumerate(zip(lines(window, extent), lines(mirrored, extent), strict=True)):
        np.testing.assert_allclose(after, before if axis == 1 else -before[::-1], atol=1e-12)
    assert window.mirrored((), extent) == window


def test_a_frame_is_consistent():
    with pytest.raises(ValueError, match='for each axis'):
        Frame((0.0,), (0.0, 1.0))
    with pytest.raises(ValueError, match='from 1 on'):
        Frame((0.0,), (0.0,), (0,))
    grid = oblique()
    with pytest.raises(ValueError, match='has no affine'):
        Frame.within(Grid((4, 5), None), np.eye(4))
    with pytest.raises(ValueError, match='axes of the image are not those of'):
        Frame.within(grid, np.eye(4))


@pytest.mark.parametrize('scale', [(2, 2, 2), (1, 3, 2)])
def test_fine_voxels_fill_their_coarse_one(scale):
    grid = oblique()
    fine = refine_grid(grid, scale)
    assert fine.size == tuple(n * s for n, s in zip(grid.size, scale, strict=True))
    for voxel in itertools.product((0, 2), repeat=3):
        inside = [np.array(voxel) * scale + np.array(part) for part in itertools.product(*map(range, scale))]
        centre = np.mean([fine.affine @ (*index, 1) for index in inside], axis=0)
        np.testing.assert_allclose(centre, grid.affine @ (*voxel, 1), atol=1e-12)


@pytest.mark.parametrize('scale', [(2, 2, 2), (1, 3, 2)])
def test_steps_of_fine_grids_lead_where_those_of_coarse_ones_do(scale):
    native = oblique()
    turned = Reorient.plan(native, 'RAS')
    other = Resample.plan(turned.target, spacing_mm=(1.0, 1.0, 1.0))
    moved = CropPad.plan(other.target, box=[(-2, 9), (1, 4), (0, 10)])
    steps, last = refine_steps([turned, other, moved], scale)
    assert steps[0].source == refine_grid(native, scale)
    for fine, coarse in zip(steps, (turned, other, moved), strict=True):
        assert type(fine) is type(coarse)
    for one, two in itertools.pairwise(steps):
        assert one.target == two.source
    expected = refine_grid(moved.target, last)
    assert sorted(last) == sorted(scale)
    assert steps[-1].target.size == expected.size
    np.testing.assert_allclose(steps[-1].target.affine, expected.affine, atol=1e-9)
    # the step itself agrees with the affines it has: a fine voxel goes where its centre is
    index = np.indices(steps[0].source.size).astype(np.float64)
    places = (steps[0].source.affine[:3, :3] @ index.reshape(3, -1)).reshape(index.shape)
    seen = steps[0].apply(places[None])[0]
    target = steps[0].target
    wanted = (target.affine[:3, :3] @ np.indices(target.size).reshape(3, -1)).reshape(3, *target.size)
    shift = steps[0].source.affine[:3, 3] - target.affine[:3, 3]
    np.testing.assert_allclose(seen + shift.reshape(3, 1, 1, 1), wanted, atol=1e-9)


def test_blocks_of_a_coarse_image_come_back_as_blocks():
    native = oblique((6, 5, 4))
    coarse = [Reorient.plan(native, 'LPS')]
    coarse.append(CropPad.plan(coarse[0].target, size=(3, 8, 5)))
    labels = np.arange(120, dtype=np.int32).reshape(3, 8, 5)
    fine, last = refine_steps(coarse, (2, 1, 3))
    enlarged = labels
    for axis, s in enumerate(last):
        enlarged = enlarged.repeat(s, axis)
    expected = restore(labels, coarse, 'nearest', fill=-1)
    for axis, s in enumerate((2, 1, 3)):
        expected = expected.repeat(s, axis)
    np.testing.assert_array_equal(restore(enlarged, fine, 'nearest', fill=-1), expected)


def test_what_cannot_be_refined():
    with pytest.raises(ValueError, match='3 whole numbers from 1 on'):
        refine_grid(oblique(), (2, 2))
    with pytest.raises(ValueError, match='whole numbers'):
        refine_grid(oblique(), (2, 2, 0))

    grid = Grid((4, 4), None)
    with pytest.raises(ValueError, match='cannot go back over FirstOfBlock'):
        refine_steps([FirstOfBlock(grid, grid)], (2, 2))
    assert refine_steps([], (2, 1)) == ([], (2, 1))
