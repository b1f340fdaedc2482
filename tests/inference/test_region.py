"""Predictions kept to a region."""

from __future__ import annotations

import math

import numpy as np
import pytest

from mmseg_medical.datasets.errors import DataError
from mmseg_medical.errors import ConfigError
from mmseg_medical.geometry import Volume, write_volume
from mmseg_medical.inference import ComponentFilter, Region

AFFINE = np.diag([1.0, 2.0, 3.0, 1.0])


def lungs():
    array = np.zeros((9, 7, 5), np.uint8)
    array[2:5, 2:5, 1:4] = 3
    array[7, 6, 4] = 5
    return Volume(array, AFFINE, 'lungs.mhd')


def everywhere():
    return Volume(np.ones((9, 7, 5), np.uint8), AFFINE, 'scan.mhd')


@pytest.mark.parametrize(
    ('values', 'margin_mm', 'expected'),
    [((), 0, 28), ((3, 4), 0, 27), ((5,), 0, 1), ((9,), 0, 0), ((9,), 4, 0), ((3,), 0.99, 27), ((3,), 1, 27 + 18)],
)
def test_what_stays(values, margin_mm, expected):
    volume = everywhere()
    kept = Region(lungs(), values, margin_mm).keep(volume)
    assert kept.array.sum() == expected
    assert volume.array.all()


def test_the_margin_is_a_distance():
    """Against the distance of every voxel to every voxel of the region."""
    kept = Region(lungs(), (3,), 3.7).keep(everywhere()).array
    inside = np.argwhere(lungs().array == 3) * (1, 2, 3)
    for voxel in np.ndindex(kept.shape):
        distance = np.linalg.norm(inside - np.multiply(voxel, (1, 2, 3)), axis=1).min()
        assert kept[voxel] == (distance <= 3.7)


def test_only_the_predicted_part_is_looked_at():
    array = np.zeros((9, 7, 5), np.uint8)
    array[0, 3, 2] = 2
    array[1, 3, 2] = 1
    volume = Volume(array, AFFINE)
    assert Region(lungs(), (3,), 1.0).keep(volume).array.tolist() == np.where(array == 1, 1, 0).tolist()
    assert not Region(lungs()).keep(Volume(np.zeros_like(array), AFFINE)).array.any()


def test_masks_that_may_overlap():
    masks = Volume(np.ones((9, 7, 5, 2), np.uint8), AFFINE, has_channels=True)
    kept = Region(lungs(), (3,)).keep(masks)
    assert kept.has_channels
    assert kept.array.sum(axis=(0, 1, 2)).tolist() == [27, 27]


def test_files_and_what_is_refused(tmp_path):
    write_volume(lungs(), tmp_path / 'lungs.mhd')
    assert Region(tmp_path / 'lungs.mhd', (3,)).keep(everywhere()).array.sum() == 27
    with pytest.raises(DataError, match=r'expected the grid of the image scan\.mhd'):
        Region(Volume(lungs().array, np.eye(4))).keep(everywhere())
    with pytest.raises(DataError):
        Region(tmp_path / 'none.mhd').keep(everywhere())
    with pytest.raises(ConfigError, match='margin_mm of a region'):
        Region(lungs(), margin_mm=-1)
    with pytest.raises(DataError, match='for a margin in mm'):
        Region(Volume(lungs().array, None), margin_mm=2).keep(Volume(everywhere().array, None))


def test_equivalent_diameters():
    """33 voxels of 1 mm^3 are a ball of 3.98 mm, of 0.5 mm a disc of 3.24 mm."""
    array = np.zeros((10, 10, 10), np.uint8)
    array.reshape(-1)[:33] = 1
    volume = Volume(array, np.eye(4))
    names = ('background', 'nodule')
    equivalent = (6 * 33 / math.pi) ** (1 / 3)
    assert ComponentFilter(min_diameter_mm=equivalent).apply(volume, names).array.sum() == 33
    assert ComponentFilter(min_diameter_mm=equivalent + 1e-3).apply(volume, names).array.sum() == 0
    assert ComponentFilter(min_diameter_mm={'nodule': 3.0}, min_volume_mm3=34).apply(volume, names).array.sum() == 0
    plane = Volume(array.reshape(10, 100), np.diag([0.5, 0.5, 1, 1]))
    disc = math.sqrt(4 * 33 * 0.25 / math.pi)
    assert ComponentFilter(min_diameter_mm=disc).apply(plane, names).array.sum() == 33
    assert ComponentFilter(min_diameter_mm=disc + 1e-3).apply(plane, names).array.sum() == 0
    with pytest.raises(ConfigError, match='min_diameter_mm of component_filter'):
        ComponentFilter(min_diameter_mm=-3)
    with pytest.raises(DataError, match='to know volumes'):
        ComponentFilter(min_diameter_mm=3).apply(Volume(array, None), names)
