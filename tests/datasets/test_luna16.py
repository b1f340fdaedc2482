"""The data set of LUNA16: folds, mask sources, samples."""

from __future__ import annotations

import importlib.machinery
import pickle
import sys
import types

import numpy as np
import pytest

from mmseg_medical.datasets import LUNA16Dataset
from mmseg_medical.datasets.errors import DataError
from mmseg_medical.datasets.phantoms import write_luna16
from mmseg_medical.errors import ConfigError
from mmseg_medical.geometry import read_volume

LOAD = [
    dict(type='LoadVolume', num_channels=1, rank=3),
    dict(type='LoadNoduleAnnotations'),
    dict(type='PackVolumeInputs'),
]
HEALTHY = 8  # the first scan of subset 4
MASKS = dict(mask_source='mask_dir', mask_root='masks')


@pytest.fixture(scope='module')
def root(tmp_path_factory):
    return write_luna16(tmp_path_factory.mktemp('luna'), 20, size=(40, 37, 20), diameter_mm=(3, 8), num_nodules=(2, 2))


def ids(root, split, **options):
    dataset = LUNA16Dataset(str(root), split, **{'mask_source': 'sphere', **options})
    return [dataset.get_data_info(i)['case_id'] for i in range(len(dataset))]


def test_every_series_is_tested_once_and_never_trained_on_meanwhile(root):
    everything = ids(root, 'all')
    assert len(everything) == 20
    tested = []
    for fold in range(10):
        train, val, test = (ids(root, split, fold=fold) for split in ('train', 'val', 'test'))
        assert len(test) == len(val) == 2
        assert sorted(train + val + test) == sorted(everything)
        tested += test
        dataset = LUNA16Dataset(str(root), 'test', fold=fold, mask_source='sphere')
        assert {dataset.get_data_info(i)['subset'] for i in range(2)} == {fold}
    assert sorted(tested) == sorted(everything)


def test_the_seed_chooses_who_validates(root):
    assert ids(root, 'val') == ids(root, 'val')
    assert ids(root, 'val', val_share=0.5) != ids(root, 'val', val_share=0.5, seed=1)
    assert len(ids(root, 'val', val_share=0.5)) == 9


def test_a_part_of_the_release(root):
    assert len(ids(root, 'all', subsets=(0, 3))) == 4
    assert len(ids(root, 'train', subsets=(0, 3), fold=3)) == 1
    excluded = ids(root, 'all')[:2]
    assert ids(root, 'all', exclude=excluded) == ids(root, 'all')[2:]


def test_masks_of_the_folder(root):
    dataset = LUNA16Dataset(str(root), 'all', pipeline=LOAD, **MASKS)
    assert dataset.metainfo == dict(
        classes=('background', 'nodule'), palette=[(0, 0, 0), (230, 70, 50)], mask_source='mask_dir'
    )
    for index in (0, 1, HEALTHY):
        sample = dataset[index]
        info = dataset.get_data_info(index)
        volume, mask = read_volume(info['img_path']), read_volume(info['seg_map_path'])
        np.testing.assert_array_equal(sample['inputs'][0], volume.array)
        np.testing.assert_array_equal(sample['data_samples'].gt_sem_seg.data[0], mask.array)
        assert sample['data_samples'].mask_source == 'mask_dir'
        assert sample['data_samples'].nodules.shape == (0 if index == HEALTHY else 2, 4)
        assert sample['data_samples'].lung_map_path.endswith('.mhd')


def test_balls_meet_the_masks_they_stand_for(root):
    balls, masks = (
        LUNA16Dataset(str(root), 'all', pipeline=LOAD, **source) for source in (dict(mask_source='sphere'), MASKS)
    )
    for index in (0, 1, 2, 3, HEALTHY):
        ball, mask = (of[index]['data_samples'].gt_sem_seg.data.bool() for of in (balls, masks))
        if index == HEALTHY:
            assert not ball.any()
            assert not mask.any()
        else:
            assert 2 * (ball & mask).sum() / (ball.sum() + mask.sum()) > 0.6
    assert balls[0]['data_samples'].mask_source == 'sphere'


def test_truth_stays_on_the_grid_of_the_file_in_tests(root):
    pipeline = [LOAD[0], dict(type='ReorientVolume', axes='RAS'), *LOAD[1:]]
    dataset = LUNA16Dataset(str(root), 'all', pipeline=pipeline, mask_source='sphere', test_mode=True)
    plain = LUNA16Dataset(str(root), 'all', pipeline=LOAD, mask_source='sphere')
    turned, straight = dataset[0], plain[0]
    assert turned['data_samples'].gt_sem_seg.data.equal(straight['data_samples'].gt_sem_seg.data)
    assert turned['inputs'].equal(straight['inputs'].flip(1, 2))


def test_it_crosses_to_workers(root):
    dataset = pickle.loads(pickle.dumps(LUNA16Dataset(str(root), 'all', pipeline=LOAD, **MASKS)))  # noqa: S301
    assert dataset[1]['inputs'].shape == (1, 40, 37, 20)


def test_masks_may_number_nodules_and_ignore_voxels(root, tmp_path):
    from mmseg_medical.geometry import Volume, write_volume

    uid = ids(root, 'all')[0]
    mask = read_volume(root / 'masks' / f'{uid}.mhd')
    numbered = mask.array.astype(np.uint8) * 7
    numbered[0, 0, 0] = 255
    write_volume(Volume(numbered, mask.affine), tmp_path / f'{uid}.nii.gz')
    dataset = LUNA16Dataset(
        str(root), 'all', subsets=(0,), exclude=ids(root, 'all', subsets=(0,))[1:], pipeline=LOAD,
        mask_source='mask_dir', mask_root=str(tmp_path),
    )  # fmt: skip
    label = dataset[0]['data_samples'].gt_sem_seg.data[0].numpy()
    assert label[0, 0, 0] == 255
    label[0, 0, 0] = 0
    np.testing.assert_array_equal(label, mask.array)


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (dict(split='trian'), 'split must be one of .*Did you mean train'),
        (dict(mask_source='spheres'), 'Did you mean sphere'),
        (dict(fold=10), 'fold must be one of the subsets'),
        (dict(subsets=(0, 11)), 'subsets must be different numbers'),
        (dict(subsets=(0, 0)), 'subsets must be different numbers'),
        (dict(val_share=0), 'val_share must lie between 0 and 1'),
        (dict(mask_source='mask_dir'), 'needs mask_root'),
        (dict(mask_root='masks'), 'mask_root belongs to'),
    ],
)
def test_wrong_options(root, options, message):
    with pytest.raises(ConfigError, match=message):
        LUNA16Dataset(str(root), **{'mask_source': 'sphere', **options})


class Reading(set):
    """One reader's nodule, a set of (row, column, slice), as pylidc 0.2.3 gives it."""

    def bbox_matrix(self):
        places = np.array(sorted(self))
        return np.stack([places.min(axis=0), places.max(axis=0)], axis=1)

    def boolean_mask(self, bbox):
        inside = np.zeros(bbox[:, 1] - bbox[:, 0] + 1, dtype=np.bool)
        for place in self:
            inside[tuple((np.array(place) - bbox[:, 0]).astype(np.int))] = True  # noqa: NPY001 - NumPy 2 has no such name
        return inside


class FakeScan:
    """What pylidc says of a scan: readings grouped by nodule, positions of slices."""

    def __init__(self, heights, nodules):
        self.slice_zvals = heights
        self.nodules = nodules

    def cluster_annotations(self):
        return self.nodules


def fake_pylidc(monkeypatch, scans):
    module = types.ModuleType('pylidc')
    module.__spec__ = importlib.machinery.ModuleSpec('pylidc', None)

    class Column:
        def __eq__(self, uid):
            return uid

        __hash__ = None

    class Query:
        def filter(self, uid):
            return types.SimpleNamespace(first=lambda: scans.get(uid))

    module.Scan = types.SimpleNamespace(series_instance_uid=Column())
    module.query = lambda _: Query()
    monkeypatch.setitem(sys.modules, 'pylidc', module)


def heights_of(path):
    volume = read_volume(path)
    return volume.affine[2, 3] + np.arange(volume.size[2]) * volume.affine[2, 2]


def test_contours_of_the_readers(root, monkeypatch):
    dataset = LUNA16Dataset(str(root), 'all', pipeline=LOAD, mask_source='lidc_contours')
    info = dataset.get_data_info(1)
    both, one = (5, 30, 3), (6, 30, 3)
    seen_by_three, by_two = [Reading({both, one}), Reading({both}), Reading({both})], [Reading({(20, 20, 9)})] * 2
    scan = FakeScan(heights_of(info['img_path']), [seen_by_three, by_two])
    fake_pylidc(monkeypatch, {info['case_id']: scan})
    label = dataset[1]['data_samples'].gt_sem_seg.data[0]
    assert np.argwhere(label.numpy()).tolist() == [[30, 5, 3]]  # column, row, slice; one of three is no consensus
    assert not hasattr(np, 'int')  # what was lent is taken back
    with pytest.raises(DataError, match='none in the database of pylidc'):
        dataset[0]
    scan.slice_zvals = heights_of(info['img_path'])[::-1]
    assert np.argwhere(dataset[1]['data_samples'].gt_sem_seg.data[0].numpy()).tolist() == [[30, 5, 16]]


def test_contours_outside_the_scan(root, monkeypatch):
    dataset = LUNA16Dataset(str(root), 'all', pipeline=LOAD, mask_source='lidc_contours')
    info = dataset.get_data_info(0)
    far = FakeScan(heights_of(info['img_path']), [[Reading({(36, 40, 3)})] * 3])
    fake_pylidc(monkeypatch, {info['case_id']: far})
    with pytest.raises(DataError, match='found some up to column 40, row 36, slice 3'):
        dataset[0]


@pytest.mark.parametrize(
    ('change', 'message'),
    [(lambda h: np.r_[h[0], h[:-1]], 'two at one position'), (lambda h: h + 0.4, r'0\.4 mm from the next one')],
)
def test_slices_that_do_not_fit(root, monkeypatch, change, message):
    dataset = LUNA16Dataset(str(root), 'all', pipeline=LOAD, mask_source='lidc_contours')
    info = dataset.get_data_info(0)
    fake_pylidc(monkeypatch, {info['case_id']: FakeScan(change(heights_of(info['img_path'])), [])})
    with pytest.raises(DataError, match=message):
        dataset[0]


def test_without_pylidc(root):
    dataset = LUNA16Dataset(str(root), 'all', pipeline=LOAD, mask_source='lidc_contours')
    with pytest.raises(RuntimeError, match='pylidc is needed and not installed here'):
        dataset[0]
    exported = LUNA16Dataset(str(root), 'all', pipeline=LOAD, mask_source='lidc_contours', mask_root='masks')
    assert exported[0]['data_samples'].mask_source == 'lidc_contours'
    assert exported[0]['data_samples'].gt_sem_seg.data.any()
