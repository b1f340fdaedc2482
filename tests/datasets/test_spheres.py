"""Balls as masks of nodules."""

from __future__ import annotations

import math

import numpy as np
import pytest

from mmseg_medical.datasets.errors import DataError
from mmseg_medical.datasets.lung_nodules import check_inside, sphere_labels
from mmseg_medical.geometry import Grid
from mmseg_medical.geometry.points import voxel_to_world


def test_flipped_axes_hold_the_mirrored_ball():
    plain = np.diag([0.7, 0.8, 1.5, 1.0])
    flipped = np.diag([-0.7, -0.8, 1.5, 1.0])
    flipped[:2, 3] = 0.7 * 29, 0.8 * 26  # the same voxels in space, counted from the other end
    nodules = np.array([[8.1, 9.2, 10.3, 7.0], [14.0, 4.0, 20.0, 5.0]])
    one, other = (sphere_labels(Grid((30, 27, 20), affine), nodules) for affine in (plain, flipped))
    np.testing.assert_array_equal(one, other[::-1, ::-1])
    assert one.any()


def test_a_ball_turned_with_its_grid_keeps_its_volume():
    rng = np.random.default_rng(1)
    affine = np.eye(4)
    affine[:3, :3] = np.linalg.qr(rng.standard_normal((3, 3)))[0] * (0.5, 0.7, 0.6)
    grid = Grid((60, 50, 55), affine)
    nodules = np.array([[*voxel_to_world([[29, 25, 27]], affine)[0], 12.0]])
    volume = sphere_labels(grid, nodules).sum() * 0.5 * 0.7 * 0.6
    assert volume == pytest.approx(math.pi / 6 * 12**3, rel=0.01)


def test_small_balls_between_thick_slices_do_not_vanish():
    labels = sphere_labels(Grid((5, 5, 5), np.diag([1.0, 1.0, 9.0, 1.0])), np.array([[2.4, 2.4, 22.0, 0.5]]))
    assert labels.sum() == 1
    assert labels[2, 2, 2] == 1


def test_balls_are_cut_at_the_border():
    labels = sphere_labels(Grid((1, 7, 3), np.eye(4)), np.array([[0.0, 0.0, 1.0, 4.0]]))
    np.testing.assert_array_equal(labels[0, :, 1], [1, 1, 1, 0, 0, 0, 0])
    assert not sphere_labels(Grid((4, 4, 4), np.eye(4)), np.zeros((0, 4))).any()


@pytest.mark.parametrize(('point', 'fits'), [((-0.5, 0, 3.5), True), ((-0.51, 0, 0), False), ((0, 0, 3.51), False)])
def test_a_centre_lies_in_a_voxel(point, fits):
    grid, nodules = Grid((4, 4, 4), np.eye(4)), np.array([[*point, 3.0]])
    if fits:
        check_inside(grid, nodules, '1.2.3')
        return
    with pytest.raises(DataError, match=r'series 1\.2\.3: expected annotations inside the scan'):
        check_inside(grid, nodules, '1.2.3')


def test_points_need_a_place():
    with pytest.raises(DataError, match='file without geometry'):
        check_inside(Grid((4, 4, 4), None), np.ones((1, 4)), '1.2.3')
    check_inside(Grid((4, 4, 4), None), np.zeros((0, 4)), '1.2.3')
