"""Patches around nodules and inside lungs, lung maps, turns by right angles."""

from __future__ import annotations

import json

import numpy as np
import pytest

from mmseg_medical.datasets import LUNA16Dataset
from mmseg_medical.datasets.errors import DataError
from mmseg_medical.datasets.patch_sampling import draw_centred_patch
from mmseg_medical.datasets.phantoms import write_luna16
from mmseg_medical.datasets.transforms import RandomIntensity, RandomNodulePatch, RandomRotate90Volume
from mmseg_medical.datasets.transforms.replay import replay_augmentations
from mmseg_medical.errors import ConfigError
from mmseg_medical.geometry import read_volume
from mmseg_medical.geometry.points import world_to_voxel

PATCH = (16, 12, 8)
HEAD = [
    dict(type='LoadVolume', num_channels=1, rank=3),
    dict(type='LoadNoduleAnnotations'),
    dict(type='LoadLungField'),
    dict(type='ReorientVolume', axes='RAS'),
    dict(type='NormalizeIntensity', mode='window', center=-300, width=1400),
]
PACK = [dict(type='PackVolumeInputs')]


@pytest.fixture(scope='module')
def root(tmp_path_factory):
    return write_luna16(tmp_path_factory.mktemp('luna'), 3, size=(44, 41, 26), num_nodules=(2, 2), diameter_mm=(4, 7))


def luna(root, pipeline, **options):
    return LUNA16Dataset(str(root), 'all', pipeline=pipeline, **{'mask_source': 'sphere', **options})


def case(size=(40, 30, 20), nodules=((20.0, 15.0, 10.0, 4.0),), **keys):
    image = np.arange(np.prod(size), dtype=np.float32).reshape(1, *size)
    return dict(img=image, affine=np.eye(4), nodules=np.array(nodules).reshape(-1, 4), **keys)


def starts(transform, number=200, **keys):
    np.random.seed(0)  # noqa: NPY002
    return np.array([transform(case(**keys))['augmentations'][0]['start'] for _ in range(number)])


def test_a_nodule_lies_within_a_quarter_of_the_middle():
    found = starts(RandomNodulePatch(PATCH, nodule_prob=1))
    middle = found + np.array(PATCH) // 2
    assert middle.min(axis=0).tolist() == [20 - 4, 15 - 3, 10 - 2]
    assert middle.max(axis=0).tolist() == [20 + 4, 15 + 3, 10 + 2]
    centred = starts(RandomNodulePatch(PATCH, nodule_prob=1, jitter=0), 3)
    assert (centred == [12, 9, 6]).all()


def test_patches_stay_within_the_scan_and_keep_the_nodule():
    corner = ((0.0, 29.0, 19.0, 4.0),)
    found = starts(RandomNodulePatch(PATCH, nodule_prob=1), nodules=corner)
    assert (found >= 0).all()
    assert (found + PATCH <= (40, 30, 20)).all()
    assert (found[:, 0] == 0).all()


def test_every_nodule_has_the_same_chance():
    two = ((10.0, 15.0, 10.0, 30.0), (30.0, 15.0, 10.0, 3.0))
    left = (starts(RandomNodulePatch(PATCH, nodule_prob=1), nodules=two)[:, 0] < 12).mean()
    assert 0.4 < left < 0.6


def test_background_lies_in_the_lungs():
    lungs = np.array([[5.0, 5.0, 5.0], [35.0, 25.0, 15.0]])
    found = starts(RandomNodulePatch(PATCH, nodule_prob=0), lung_points_mm=lungs)
    assert {tuple(start) for start in found.tolist()} == {(0, 0, 1), (24, 18, 11)}
    anywhere = starts(RandomNodulePatch(PATCH, nodule_prob=0))
    assert anywhere.min(axis=0).tolist() == [0, 0, 0]
    assert anywhere.max(axis=0).tolist() == [24, 18, 12]
    healthy = starts(RandomNodulePatch(PATCH, nodule_prob=1), lung_points_mm=lungs, nodules=())
    assert {tuple(start) for start in healthy.tolist()} == {(0, 0, 1), (24, 18, 11)}


def test_probability_of_a_nodule():
    np.random.seed(1)  # noqa: NPY002
    transform = RandomNodulePatch(PATCH)
    drawn = [transform(case())['augmentations'][0]['drawn_class'] for _ in range(200)]
    assert 80 < drawn.count(1) < 120


def test_a_scan_smaller_than_the_patch_is_padded_with_air():
    results = RandomNodulePatch((48, 12, 24), nodule_prob=1)(case(gt_seg_map=np.ones((40, 30, 20), np.uint8)))
    start = results['augmentations'][0]['start']
    assert results['img'].shape == (1, 48, 12, 24)
    assert results['gt_seg_map'].sum() == 40 * 12 * 20
    assert -8 <= start[0] <= 0
    assert -4 <= start[2] <= 0
    np.testing.assert_allclose(world_to_voxel([[0, 0, 0]], results['affine'])[0], -np.array(start))


def test_the_record_cuts_it_again():
    results = RandomNodulePatch(PATCH)(case())
    again = replay_augmentations(case(), json.loads(json.dumps(results['augmentations'])))
    np.testing.assert_array_equal(again['img'], results['img'])


def test_centred_draws():
    assert draw_centred_patch((10, 11, 1), (4, 5, 1), np.array([5, 5, 0])) == (3, 3, 0)
    assert draw_centred_patch((10,), (4,), np.array([50.0])) == (6,)
    np.random.seed(0)  # noqa: NPY002
    assert {draw_centred_patch((3,), (5,), np.array([1.0]))[0] for _ in range(60)} == {-2, -1, 0}


@pytest.mark.parametrize('wrong', [dict(patch_size=(4, 4)), dict(nodule_prob=1.5), dict(jitter=0.5)])
def test_wrong_options(wrong):
    with pytest.raises(ConfigError, match='RandomNodulePatch'):
        RandomNodulePatch(**{'patch_size': PATCH, **wrong})


def test_patches_of_a_release_contain_their_nodule(root):
    pipeline = [*HEAD, dict(type='RandomNodulePatch', patch_size=PATCH, nodule_prob=1), *PACK]
    dataset = luna(root, pipeline)
    for index in range(3):
        sample = dataset[index]
        assert sample['inputs'].shape == (1, *PATCH)
        assert sample['data_samples'].gt_sem_seg.data.any()
        assert 0 <= sample['inputs'].min() <= sample['inputs'].max() <= 1


def test_the_store_gives_the_same_samples(root, tmp_path):
    pytest.importorskip('blosc2')
    cut = dict(type='RandomNodulePatch', patch_size=PATCH)
    stored = dict(type='LoadStoredPatch', pipeline=HEAD, store_dir=str(tmp_path), patch=cut)
    direct, kept = luna(root, [*HEAD, cut, *PACK]), luna(root, [stored, *PACK])
    for _ in range(2):  # built, then read
        for index in range(3):
            one, other = (_seeded(dataset, index) for dataset in (direct, kept))
            assert one['inputs'].equal(other['inputs'])
            assert one['data_samples'].gt_sem_seg.data.equal(other['data_samples'].gt_sem_seg.data)
    uid = kept.get_data_info(0)['case_id']
    names = {path.name for path in tmp_path.rglob('*.case')}
    (root / 'seg-lungs' / f'{uid}.mhd').touch()
    kept[0]
    assert len({path.name for path in tmp_path.rglob('*.case')} - names) == 1  # another lung map is another case


def _seeded(dataset, index):
    np.random.seed(index)  # noqa: NPY002
    return dataset.pipeline(dataset.get_data_info(index))


def test_points_of_the_lungs(root):
    dataset = luna(root, [HEAD[0], HEAD[2]])
    results = dataset[1]
    lungs = read_volume(results['lung_map_path'])
    voxels = np.rint(world_to_voxel(results['lung_points_mm'], lungs.affine)).astype(int)
    assert len(voxels) == 1024
    assert len({tuple(voxel) for voxel in voxels.tolist()}) == 1024
    assert set(np.unique(lungs.array[tuple(voxels.T)])) == {3, 4}
    np.testing.assert_array_equal(results['lung_points_mm'], dataset[1]['lung_points_mm'])
    few = luna(root, [HEAD[0], dict(HEAD[2], num_points=7)])[1]
    assert few['lung_points_mm'].shape == (7, 3)


def test_cropping_to_the_lungs(root):
    pipeline = [HEAD[0], HEAD[2], dict(type='CropToLungField', margin_mm=0), *HEAD[1:2]]
    results = luna(root, pipeline, test_mode=True)[0]
    lungs = np.isin(read_volume(results['lung_map_path']).array, (3, 4))
    box = tuple(slice(places.min(), places.max() + 1) for places in np.nonzero(lungs))
    volume = read_volume(results['img_path'])
    np.testing.assert_array_equal(results['img'][0], volume.array[box])
    assert results['gt_seg_map'].shape == volume.size  # the truth stays whole
    wide = luna(root, [*pipeline[:2], dict(type='CropToLungField', margin_mm=1000)])[0]
    assert wide['img'].shape[1:] == volume.size
    without = luna(root, pipeline, lung_root=None)[0]
    assert without['img'].shape[1:] == volume.size


def test_missing_and_empty_maps(root):
    with pytest.raises(DataError, match='expected a map of the lungs'):
        luna(root, [HEAD[0], dict(HEAD[2], required=True)], lung_root=None)[0]
    with pytest.raises(DataError, match=r'expected lungs \(labels 9\), found labels 0, 3, 4, 5'):
        luna(root, [HEAD[0], dict(HEAD[2], labels=(9,))])[0]


def test_turns_by_right_angles():
    image = np.arange(2 * 4 * 4 * 3, dtype=np.float32).reshape(2, 4, 4, 3)
    start = dict(img=image, gt_seg_map=(image[0] % 5).astype(np.uint8))
    transform = RandomRotate90Volume(prob=1)
    np.random.seed(0)  # noqa: NPY002
    seen = set()
    for _ in range(30):
        results = transform(dict(start))
        turns = results['augmentations'][0]['turns']
        seen.add(turns)
        np.testing.assert_array_equal(results['img'], np.rot90(image, turns, (1, 2)))
        np.testing.assert_array_equal(results['gt_seg_map'], results['img'][0] % 5)
        again = replay_augmentations(start, results['augmentations'])
        np.testing.assert_array_equal(again['img'], results['img'])
    assert seen == {1, 2, 3}
    assert 'augmentations' not in RandomRotate90Volume(prob=0)(dict(start))
    with pytest.raises(ConfigError, match=r'size \(4, 4, 3\): choose a square patch'):
        RandomRotate90Volume(axes=(0, 2))(dict(start))
    with pytest.raises(ConfigError, match='must be two of 0, 1, 2'):
        RandomRotate90Volume(axes=(1, 1))


def test_shift_and_scale_in_the_unit_of_the_window():
    image = np.linspace(0, 1, 60, dtype=np.float32).reshape(1, 5, 4, 3)
    transform = RandomIntensity(contrast=0.1, brightness=0.05, prob=1, noise_prob=0, blur_prob=0, absolute=True)
    np.random.seed(0)  # noqa: NPY002
    for _ in range(20):
        results = transform(dict(img=image))
        record = results['augmentations'][0]
        np.testing.assert_allclose(results['img'], image * record['contrast'] + record['brightness'], atol=1e-6)
        assert 0.9 <= record['contrast'] <= 1.1
        assert abs(record['brightness']) <= 0.05
