"""Small parts of a segmentation: what stays, in mm^3, on each label."""

from __future__ import annotations

import numpy as np
import pytest

from mmseg_medical.datasets.errors import DataError
from mmseg_medical.errors import ConfigError
from mmseg_medical.geometry import Volume
from mmseg_medical.inference import ComponentFilter

NAMES = ('background', 'liver', 'tumour')


def labels() -> Volume:
    """Liver: parts of 1, 2 and 4 voxels; tumour: of 1 and 3; a voxel is 2 mm^3."""
    array = np.zeros((5, 12, 3), np.uint8)
    array[0, 0, 0] = 1
    array[0, 2:4, 0] = 1
    array[0, 5:9, 0] = 1
    array[4, 0, 2] = 2
    array[4, 2:5, 2] = 2
    return Volume(array, np.diag([1.0, 0.5, 4.0, 1.0]))


def counts(volume: Volume) -> tuple[int, int]:
    return int((volume.array == 1).sum()), int((volume.array == 2).sum())


@pytest.mark.parametrize(
    ('rules', 'expected'),
    [
        ({}, (7, 4)),
        (dict(min_volume_mm3=4), (6, 3)),
        (dict(min_volume_mm3=4.01), (4, 3)),
        (dict(min_volume_mm3=100), (0, 0)),
        (dict(min_volume_mm3={'liver': 8}), (4, 4)),
        (dict(min_volume_mm3={'1': 8, 2: 4}), (4, 3)),
        (dict(keep_largest=True), (4, 3)),
        (dict(keep_largest=['tumour']), (7, 3)),
        (dict(keep_largest=['liver'], min_volume_mm3=20), (0, 0)),
    ],
)
def test_what_stays(rules, expected):
    volume = labels()
    before = volume.array.copy()
    found = ComponentFilter(**rules).apply(volume, NAMES)
    assert counts(found) == expected
    np.testing.assert_array_equal(volume.array, before)
    assert found.affine is volume.affine or np.array_equal(found.affine, volume.affine)


def test_corners_join_or_not():
    array = np.zeros((2, 2), np.uint8)
    array[0, 0] = array[1, 1] = 1
    volume = Volume(array, np.eye(4))
    assert counts(ComponentFilter(min_volume_mm3=2).apply(volume, NAMES))[0] == 2
    assert counts(ComponentFilter(min_volume_mm3=2, connectivity='face').apply(volume, NAMES))[0] == 0


def test_masks_are_filtered_one_by_one():
    array = np.zeros((4, 4, 4, 2), np.uint8)
    array[0, 0, 0] = 1
    array[2:, 2:, 2:, 0] = 1
    found = ComponentFilter(min_volume_mm3=2).apply(Volume(array, np.eye(4), has_channels=True), ('whole', 'core'))
    assert found.array.sum(axis=(0, 1, 2)).tolist() == [8, 0]


@pytest.mark.parametrize('array', [np.zeros((3, 4, 5), np.uint8), np.ones((3, 4, 5), np.uint8)])
def test_empty_and_full(array):
    found = ComponentFilter(min_volume_mm3=1, keep_largest=True).apply(Volume(array, np.eye(4)), NAMES)
    np.testing.assert_array_equal(found.array, array)


def test_without_spacing_there_are_no_millimetres():
    volume = Volume(labels().array, None, 'x.npy')
    assert counts(ComponentFilter(keep_largest=True).apply(volume, NAMES)) == (4, 3)
    with pytest.raises(DataError, match=r'x\.npy: expected an image with spacing'):
        ComponentFilter(min_volume_mm3=1).apply(volume, NAMES)


@pytest.mark.parametrize(
    ('config', 'message'),
    [
        (dict(min_volume=1), 'min_volume_mm3'),
        (dict(min_volume_mm3=-1), '0 or more'),
        (dict(min_volume_mm3='1'), '0 or more'),
        (dict(keep_largest='liver'), 'list of labels'),
        (dict(connectivity='edge'), 'connectivity'),
        (dict(keep_largest=['livr']), 'Did you mean liver'),
        (dict(min_volume_mm3={7: 1}), '2 tumour'),
    ],
)
def test_wrong_rules(config, message):
    with pytest.raises(ConfigError, match=message):
        ComponentFilter.from_config(config).check(NAMES)
