from __future__ import annotations

import warnings

import numpy as np
import pytest

from mmseg_medical.geometry import Volume, write_volume
from mmseg_medical.visualization.slices import (
    contrast_of,
    densest_slice,
    draw_slice,
    grey_picture,
    label_picture,
    plane_size,
    slice_plane,
)


def test_the_slice_with_most_foreground():
    empty, mask = np.zeros((4, 5, 6), int), np.zeros((4, 5, 6), int)
    mask[1, 2, 3], mask[1:3, 2, 4] = 2, 1
    assert densest_slice([mask], 2) == 4
    assert densest_slice([empty, mask], 0) == 1
    assert densest_slice([empty], 1) == 2
    assert densest_slice([mask], -1) == 4


def test_planes_are_turned_upright():
    array = np.arange(2 * 3 * 4).reshape(2, 3, 4)
    plane = slice_plane(array, 2, 1)
    assert plane.shape == (3, 2)
    assert plane[-1].tolist() == array[:, 0, 1].tolist()
    assert plane[:, 0].tolist() == array[0, ::-1, 1].tolist()


def test_pictures_keep_proportions():
    assert plane_size((30, 60), None, 120) == (60, 120)
    assert plane_size((30, 60), (4.0, 1.0), 120) == (120, 60)
    assert plane_size((1, 500), None, 20) == (1, 20)


def test_grey_runs_between_the_percentiles():
    plane = np.linspace(0, 1000, 101).reshape(1, 101)
    picture = grey_picture(plane, (1, 101))
    assert picture.dtype == np.uint8
    assert picture.shape == (1, 101, 3)
    assert picture[0, 0, 0] == 0
    assert picture[0, -1, 0] == 255
    assert (np.diff(picture[0, :, 0].astype(int)) >= 0).all()
    assert not grey_picture(np.full((3, 3), 7.0), (3, 3)).any()


@pytest.mark.parametrize('kind', [bool, np.uint8, np.int16, np.uint16, np.int64])
def test_labels_are_not_mixed(kind):
    top = min(np.iinfo(kind).max, 2035) if kind is not bool else 1
    plane = np.array([[0, top], [1, top // 2]], kind)
    assert np.array_equal(label_picture(plane, (6, 6)), np.kron(plane, np.ones((3, 3))))


@pytest.mark.parametrize('channels', [False, True])
def test_a_volume_becomes_a_picture(tmp_path, channels):
    rng = np.random.default_rng(0)
    image = rng.random((8, 10, 6), np.float32)
    masks = np.zeros((1, 8, 10, 6), np.uint8)
    masks[0, 2:5, 3:6, 4] = 1
    stored = np.stack([image, image], -1) if channels else image
    write_volume(Volume(stored, np.diag([1.0, 2, 1, 1]), has_channels=channels), tmp_path / 'a.nii.gz')
    panels = {'Prediction': np.zeros_like(masks), 'Ground truth': masks}
    picture = draw_slice(str(tmp_path / 'a.nii.gz'), panels, 40)
    assert picture.shape == (40, 16, 3)
    assert panels['Ground truth'].shape == (1, 40, 16)
    assert panels['Ground truth'].sum() == 9 * 2 * 4
    assert not panels['Prediction'].any()


def test_masks_of_another_size(tmp_path):
    write_volume(Volume(np.zeros((3, 4, 5), np.float32), np.eye(4)), tmp_path / 'a.nii.gz')
    with pytest.raises(ValueError, match='the masks have another one'):
        draw_slice(str(tmp_path / 'a.nii.gz'), {'Prediction': np.zeros((1, 3, 4, 6), np.uint8)}, 40)


def test_one_time_of_a_series_is_drawn(tmp_path):
    ramp = np.broadcast_to(np.arange(8, dtype=np.int16)[:, None, None], (8, 6, 3))
    series = np.stack([ramp, ramp[::-1]], axis=-1)
    write_volume(Volume(series, np.eye(4), has_channels=True), tmp_path / 'series.nii.gz')
    masks = np.zeros((1, 8, 6, 3), np.uint8)
    first, second = (draw_slice(str(tmp_path / 'series.nii.gz'), {'m': masks}, 32, time) for time in (0, 1))
    np.testing.assert_array_equal(first, second[:, ::-1])
    assert first[0, 0, 0] < first[0, -1, 0]


def test_values_that_are_no_numbers_are_black_and_the_rest_is_seen():
    plane = np.linspace(0, 100, 35, dtype=np.float32).reshape(5, 7)
    plain = grey_picture(plane, (5, 7))
    plane[0, 0], plane[1, 1], plane[2, 2] = np.nan, np.inf, -np.inf
    with warnings.catch_warnings():
        warnings.simplefilter('error')
        picture = grey_picture(plane, (5, 7))
        nothing = grey_picture(np.full((2, 3), np.nan), (2, 3))
    assert picture[0, 0, 0] == picture[2, 2, 0] == 0
    assert picture[1, 1, 0] == 255
    assert abs(int(picture[4, 3, 0]) - int(plain[4, 3, 0])) < 10
    assert not nothing.any()
    assert contrast_of(np.array([0, 200])) == (1, 199)
