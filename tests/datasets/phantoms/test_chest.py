"""Phantoms of chests look like what they stand for, and their annotations like their masks."""

from __future__ import annotations

import csv
import math
import time

import numpy as np
import pytest
from scipy import ndimage

from mmseg_medical.datasets.phantoms import write_luna16
from mmseg_medical.datasets.phantoms.chest_anatomy import chest_phantom
from mmseg_medical.datasets.phantoms.chest_nodules import LEFT_LUNG, RIGHT_LUNG, TRACHEA
from mmseg_medical.geometry import read_volume, reorient
from mmseg_medical.geometry.points import lps_to_ras, world_to_voxel


@pytest.fixture(scope='module')
def root(tmp_path_factory):
    folder = tmp_path_factory.mktemp('luna')
    return write_luna16(folder, 5, num_subsets=3, size=(64, 61, 40), num_nodules=(2, 3))


def rows(path):
    with path.open() as file:
        return list(csv.DictReader(file))


def test_the_tree(root):
    scans = sorted(root.glob('subset*/*.mhd'))
    assert [path.parent.name for path in scans] == ['subset0', 'subset0', 'subset1', 'subset1', 'subset2']
    for path in scans:
        assert path.with_suffix('.raw').stat().st_size == 64 * 61 * 40 * 2
        assert 'ElementType = MET_SHORT' in path.read_text()
        for other in ('masks', 'seg-lungs'):
            assert (root / other / path.name).is_file()
    signs = {tuple(np.sign(np.diag(read_volume(path).affine)[:3])) for path in scans}
    assert signs == {(-1, -1, 1), (1, 1, 1)}  # of ITK's directions (1, 1, 1) and (-1, -1, 1)
    assert len({read_volume(path).spacing_mm for path in scans}) == 4
    assert not [path for path in root.rglob('*') if path.name.startswith('.')]


def test_annotations_are_those_of_the_masks(root):
    listed = rows(root / 'annotations.csv')
    assert len(listed) >= 6
    for path in root.glob('subset*/*.mhd'):
        mask = read_volume(root / 'masks' / path.name)
        parts, number = ndimage.label(mask.array, np.ones((3, 3, 3)))
        own = [row for row in listed if row['seriesuid'] == path.stem]
        assert len(own) == number
        centers = lps_to_ras([[float(row[f'coord{a}']) for a in 'XYZ'] for row in own]) if own else np.zeros((0, 3))
        found = set()
        for row, place in zip(own, world_to_voxel(centers, mask.affine), strict=True):
            part = parts[tuple(np.rint(place).astype(int))]
            found.add(part)
            volume = (parts == part).sum() * math.prod(mask.spacing_mm)
            assert (6 * volume / math.pi) ** (1 / 3) == pytest.approx(float(row['diameter_mm']), abs=0.5)
            centroid = np.argwhere(parts == part).mean(axis=0)
            assert np.linalg.norm((centroid - place) * mask.spacing_mm) < 0.5
            assert float(row['diameter_mm']) >= 3
        assert len(found - {0}) == number


def test_the_last_of_five_is_healthy_and_kinds_take_turns(root):
    listed = rows(root / 'phantom_nodules.csv')
    assert {row['kind'] for row in listed} == {'solid', 'part-solid', 'ground-glass'}
    assert {row['attached'] for row in listed} == {'0', '1'}
    assert len({row['seriesuid'] for row in listed}) == 4
    assert [row['seriesuid'] for row in listed] == [row['seriesuid'] for row in rows(root / 'annotations.csv')]


def test_the_same_seed_writes_the_same_bytes(tmp_path):
    one, other, third = (
        write_luna16(tmp_path / name, 1, num_subsets=1, size=(32, 30, 20), seed=seed)
        for name, seed in (('a', 3), ('b', 3), ('c', 4))
    )
    files = [sorted(root.glob('subset0/*.raw'))[0] for root in (one, other, third)]
    assert files[0].name == files[1].name != files[2].name
    assert files[0].read_bytes() == files[1].read_bytes() != files[2].read_bytes()


def test_tissue():
    phantom = chest_phantom((96, 96, 64), (1.4, 1.4, 2.0), np.random.default_rng(2), 6)
    image, lungs, mask = phantom.image.astype(float), phantom.lungs, phantom.mask > 0
    assert len(phantom.nodules) == 6
    lung = np.isin(lungs, (LEFT_LUNG, RIGHT_LUNG))
    assert mask[~lung].sum() == 0
    x = np.arange(96)[:, None, None] * np.ones(mask.shape)
    assert x[lungs == LEFT_LUNG].mean() > 60 > 35 > x[lungs == RIGHT_LUNG].mean()
    assert np.median(image[lung & ~mask]) == pytest.approx(-850, abs=15)
    assert np.median(image[lungs == TRACHEA]) < -900
    vessels = ndimage.binary_erosion(lung, iterations=2) & ~ndimage.binary_dilation(mask, iterations=2) & (image > -200)
    assert 0.005 < vessels.sum() / lung.sum() < 0.15  # bait: as dense as solid nodules
    assert (image > 300).sum() > 500  # bone
    expected = {'solid': (0, 100), 'part-solid': (-580, 100), 'ground-glass': (-660, -450)}
    parts, _ = ndimage.label(mask, np.ones((3, 3, 3)))
    for nodule in phantom.nodules:
        inside = ndimage.binary_erosion(parts == parts[tuple(np.rint(nodule.center).astype(int))])
        if inside.sum() > 20:
            low, high = expected[nodule.kind]
            assert low - 60 < image[inside].mean() < high + 60, nodule


def test_corners_outside_the_field_of_view():
    phantom = chest_phantom((40, 40, 8), (2.0, 2.0, 2.5), np.random.default_rng(0), 0, padded=True)
    assert phantom.image[0, 0, 0] == -2000
    assert phantom.image.max() > 300
    assert not phantom.nodules


@pytest.mark.parametrize('size', [(1, 1, 1), (5, 7, 3), (31, 1, 17)])
def test_odd_sizes(size):
    phantom = chest_phantom(size, (1.0, 1.3, 2.0), np.random.default_rng(0), 2)
    assert phantom.image.shape == phantom.mask.shape == phantom.lungs.shape == size
    assert len(phantom.nodules) <= 2
    assert bool(phantom.mask.any()) == bool(phantom.nodules)


def test_prone_scans_show_the_same_patient(tmp_path):
    """Turned to one orientation, the spine lies at the back whatever the direction matrix."""
    root = write_luna16(tmp_path, 2, num_subsets=1, size=(48, 48, 24))
    for path in sorted(root.glob('subset0/*.mhd')):
        volume = reorient(read_volume(path), 'LPS')
        bone = ndimage.uniform_filter((volume.array > 250).astype(float), 5)
        assert np.unravel_index(bone.argmax(), bone.shape)[1] > 30


def test_a_scan_takes_no_time():
    times = []
    for seed in range(2):
        start = time.process_time()
        chest_phantom((128, 128, 96), (1.3, 1.3, 2.0), np.random.default_rng(seed), 4)
        times.append(time.process_time() - start)
    assert min(times) < 1.5  # half a second on an idle core
