"""The Decathlon slice by slice: planes, the choice of slices, volumes that are scored where their files are."""

from __future__ import annotations

import json

import numpy as np
import pytest
from slice_samples import metric_for, pipeline, predicted, truth_as_scores

from mmseg_medical.datasets import DataError, MSDDataset, MSDSliceDataset, SliceDataset
from mmseg_medical.datasets.phantoms import write_decathlon
from mmseg_medical.datasets.slices import PLANES
from mmseg_medical.errors import ConfigError
from mmseg_medical.geometry import Volume, read_volume, write_volume

TASK = 'Task04_Hippocampus'
AXES = {'sagittal': 0, 'coronal': 1, 'axial': 2}
RESIZED = dict(type='ResampleInPlane', size=(16, 13))


@pytest.fixture(scope='module')
def root(tmp_path_factory):
    return str(write_decathlon(tmp_path_factory.mktemp('msd'), num_cases=3, size=(11, 13, 7), spacing_mm=(1, 2, 3)))


def entries(dataset):
    return [dataset.get_data_info(index) for index in range(len(dataset))]


@pytest.mark.parametrize('plane', PLANES)
def test_slices_are_those_of_the_array(root, tmp_path, plane):
    dataset = MSDSliceDataset(root, planes=plane, pipeline=pipeline(tmp_path, 3), test_mode=True)
    axis = AXES[plane]
    assert len(dataset) == 3 * (11, 13, 7)[axis]
    assert dataset.metainfo['classes'] == ('background', 'Anterior', 'Posterior')
    whole = read_volume(dataset.get_data_info(0)['img_path'])
    for index in range(whole.size[axis]):
        sample = dataset[index]
        expected = np.take(whole.array, index, axis)
        found = sample['inputs'][0].numpy()
        np.testing.assert_array_equal(found, expected)
        others = [whole.spacing_mm[k] for k in range(3) if k != axis]
        assert sample['data_samples'].spacing_mm == pytest.approx((whole.spacing_mm[axis], *others))


def test_files_that_are_turned_give_the_same_planes(root, tmp_path):
    turned = str(write_decathlon(tmp_path / 'turned', num_cases=3, size=(11, 13, 7), turned=True))
    for plane, across in PLANES.items():
        dataset = MSDSliceDataset(turned, planes=plane, pipeline=pipeline(tmp_path, 3), test_mode=True)
        sample = dataset[2]['data_samples']
        column = sample.affine[:3, 2]
        assert np.argmax(np.abs(column)) == AXES[plane]
        assert column[AXES[plane]] > 0
        assert sample.num_slices == len(dataset) // 3
        assert across[2] in 'RAS'


@pytest.mark.parametrize('plane', PLANES)
def test_volumes_are_scored_on_the_grid_of_their_files(root, tmp_path, plane):
    steps = pipeline(tmp_path, 3, RESIZED, test=True)
    dataset = MSDSliceDataset(root, planes=plane, pipeline=steps, test_mode=True)
    metric = metric_for(dataset)
    for index in range(len(dataset)):
        sample = dataset[index]
        assert sample['inputs'].shape == (1, 16, 13)
        metric.process(None, [predicted(sample, truth_as_scores(sample, 3))])
    scores = metric.evaluate(len(dataset))
    assert scores['dice'] > 0.9
    truth = [read_volume(entry['seg_map_path']).array for entry in MSDDataset(root)]
    expected = np.mean([(labels == 2).sum() * 6.0 for labels in truth])
    assert scores['target_volume_mm3.Posterior'] == pytest.approx(expected)


def test_several_planes_train_together(root, tmp_path):
    both = MSDSliceDataset(root, planes=('axial', 'sagittal'), pipeline=pipeline(tmp_path, 3, RESIZED))
    single = [MSDSliceDataset(root, planes=plane) for plane in ('axial', 'sagittal')]
    assert isinstance(both, SliceDataset)
    assert len(both) == sum(map(len, single)) == 3 * (7 + 11)
    assert len(both.volumes) == 6
    np.testing.assert_array_equal(both.class_counts(), np.concatenate([one.class_counts() for one in single]))
    assert both[0]['inputs'].shape == both[len(both) - 1]['inputs'].shape
    # the store tells the planes of a case apart
    np.testing.assert_array_equal(np.unique(both[3 * 7]['inputs'] != both[0]['inputs']), [False, True])


def test_foreground_slices(root):
    every = MSDSliceDataset(root, planes=list(PLANES))
    shown = {
        (entry['case_id'], entry['orientation'], entry['slice_index'])
        for entry, counts in zip(entries(every), every.class_counts(), strict=True)
        if counts[1:].any()
    }
    assert 9 < len(shown) < len(every)
    most = MSDSliceDataset(root, planes=list(PLANES), foreground_slices=15)
    # fewer than are asked for: all of them
    assert {(e['case_id'], e['orientation'], e['slice_index']) for e in entries(most)} == shown
    few = MSDSliceDataset(root, planes=list(PLANES), foreground_slices=2)
    drawn = [(e['case_id'], e['orientation'], e['slice_index']) for e in entries(few)]
    assert len(drawn) == len(set(drawn)) == 3 * 3 * 2
    assert set(drawn) < shown
    again = MSDSliceDataset(root, planes='coronal', foreground_slices=2)
    assert [e['slice_index'] for e in entries(again)] == [k for _, axes, k in drawn if axes == PLANES['coronal']]
    other = MSDSliceDataset(root, planes=list(PLANES), foreground_slices=2, seed=7)
    assert [e['slice_index'] for e in entries(other)] != [k for *_, k in drawn]


def test_every_case_and_plane_draws_on_its_own(root, monkeypatch):
    dataset = MSDSliceDataset(root, planes='axial', foreground_slices=5)
    shown = np.ones((40, 3), np.int64)
    monkeypatch.setattr('mmseg_medical.datasets.decathlon_slices.slice_counts', lambda *_: shown)
    drawn = {
        (case, axes): tuple(dataset.chosen_slices(dict(case_id=case, orientation=axes), 40))
        for case in ('a', 'b')
        for axes in PLANES.values()
    }
    assert len(set(drawn.values())) == len(drawn) == 6
    assert all(len(set(one)) == 5 and list(one) == sorted(one) for one in drawn.values())


def test_a_part_of_a_split_file(root, tmp_path):
    file = tmp_path / 'split.json'
    file.write_text(json.dumps(dict(train=['hippocampus_003'], val=['hippocampus_001'])))
    dataset = MSDSliceDataset(root, split='val', split_file=str(file), planes='coronal', test_mode=True)
    assert {entry['volume_id'] for entry in entries(dataset)} == {'hippocampus_001'}
    assert dataset.description == f"MSDSliceDataset split 'val' of {TASK}, coronal"
    assert len(MSDSliceDataset(root, split='test', planes='axial')) == 7


def test_one_voxel_along_an_axis(tmp_path):
    flat = write_decathlon(tmp_path / 'msd', num_cases=1, size=(9, 8, 3))
    for folder in ('imagesTr', 'labelsTr'):
        path = next((flat / TASK / folder).glob('*.nii.gz'))
        volume = read_volume(path)
        write_volume(Volume(volume.array[..., 1:2], volume.affine), path)
    steps = pipeline(tmp_path, 3, RESIZED, test=True, neighbours=1)
    one = MSDSliceDataset(str(flat), planes='axial', pipeline=steps, test_mode=True)
    assert [sample['inputs'].shape for sample in one] == [(3, 16, 13)]
    # a side of one voxel is enlarged like any other
    thin = MSDSliceDataset(str(flat), planes='coronal', pipeline=steps, test_mode=True)
    assert len(thin) == 8
    assert thin[0]['data_samples'].gt_sem_seg.data.shape == (1, 9, 1)


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (dict(planes='axal'), "found 'axal'. Did you mean axial"),
        (dict(planes=()), 'must be different ones'),
        (dict(planes=('axial', 'axial')), 'must be different ones'),
        (dict(planes='axial', orientation='LPS'), "orientation='LPS'"),
        (dict(planes='axial', foreground_slices=0), 'must be positive or None, found 0'),
        (dict(planes=('axial', 'coronal'), test_mode=True), r'one plane and.*found planes=\['),
        (dict(planes='axial', foreground_slices=3, test_mode=True), 'foreground_slices=3'),
    ],
)
def test_what_cannot_be_asked_for(root, options, message):
    with pytest.raises(ConfigError, match=message):
        MSDSliceDataset(root, **options)


def test_several_modalities(tmp_path):
    root = write_decathlon(tmp_path, 'Task01_BrainTumour', num_cases=1, size=(8, 9, 5))
    with pytest.raises(DataError, match=r'expected one modality.*FLAIR, T1w'):
        MSDSliceDataset(str(root), task='Task01_BrainTumour', planes='axial')


def test_no_foreground(tmp_path):
    root = write_decathlon(tmp_path, num_cases=1, size=(8, 9, 5))
    path = next((root / TASK / 'labelsTr').glob('*.nii.gz'))
    labels = read_volume(path)
    write_volume(Volume(np.zeros_like(labels.array), labels.affine), path)
    with pytest.raises(DataError, match='none in 1 volumes'):
        MSDSliceDataset(str(root), planes='axial', foreground_slices=4)
    assert len(MSDSliceDataset(str(root), planes='axial')) == 5


@pytest.mark.realdata
def test_the_real_ones(realdata, tmp_path):
    steps = pipeline(tmp_path, 3, dict(type='ResampleInPlane', size=(128, 128)), test=True)
    dataset = MSDSliceDataset(str(realdata), planes='sagittal', pipeline=steps, test_mode=True)
    volume = dataset.volumes[0]
    number = read_volume(volume['img_path']).size[0]
    metric = metric_for(dataset)
    for index in range(number):
        sample = dataset[index]
        metric.process(None, [predicted(sample, truth_as_scores(sample, 3))])
    assert metric.evaluate(number)['dice'] > 0.98
