"""From folders to volumes that are scored: the four sets of slices end to end."""

from __future__ import annotations

import json

import numpy as np
import pytest
from slice_samples import metric_for, pipeline, predicted, truth_as_scores

from mmseg_medical.datasets import (
    ACDCDataset,
    BraTSDataset,
    DataError,
    MnMsDataset,
    SynapseDataset,
    check_disjoint,
)
from mmseg_medical.datasets.brats import REGIONS
from mmseg_medical.datasets.phantoms import write_acdc, write_brats, write_mnms, write_synapse
from mmseg_medical.errors import ConfigError
from mmseg_medical.geometry import read_volume

HALVED = dict(type='ResampleInPlane', spacing_mm=2.0)


@pytest.fixture(scope='module')
def roots(tmp_path_factory):
    folder = tmp_path_factory.mktemp('slices')
    write_acdc(folder / 'acdc', 3, 1, size=(19, 23, 4))
    write_mnms(folder / 'mnms', 2, 1, 1, size=(17, 20, 3), times=4)
    write_brats(folder / 'brats', 2, 1, size=(14, 17, 5))
    write_synapse(folder / 'synapse', 3, 1, size=(32, 29, 7))
    return folder


SETS = [(ACDCDataset, 'acdc', 1), (MnMsDataset, 'mnms', 1), (BraTSDataset, 'brats', 4), (SynapseDataset, 'synapse', 1)]


@pytest.mark.parametrize(('kind', 'name', 'channels'), SETS)
def test_every_slice_is_a_sample_that_knows_its_place(roots, tmp_path, kind, name, channels):
    dataset = kind(str(roots / name))
    classes = len(dataset.metainfo['classes'])
    assert len(dataset.metainfo['palette']) == classes
    dataset = kind(str(roots / name), pipeline=pipeline(tmp_path, classes))
    seen = {}
    for index in range(len(dataset)):
        entry, sample = dataset.get_data_info(index), dataset[index]
        data = sample['data_samples']
        whole = read_volume(entry['img_path'])
        time = () if entry.get('frame') is None else (entry['frame'],)
        np.testing.assert_array_equal(sample['inputs'][0], whole.array[(..., entry['slice_index'], *time)])
        assert sample['inputs'].shape == (channels, *whole.size[:2])
        assert data.gt_sem_seg.data.shape == (1, *whole.size[:2])
        i, j, k = whole.spacing_mm
        assert data.spacing_mm == pytest.approx((k, i, j))
        place = whole.affine @ [3, 2, entry['slice_index'], 1]
        np.testing.assert_allclose(data.affine @ [3, 2, 0, 1], place)
        assert data.volume_id == data.case_id == entry['case_id']
        seen.setdefault(data.volume_id, []).append(data.slice_index)
        assert data.num_slices == whole.size[2]
    assert all(slices == list(range(len(slices))) for slices in seen.values())
    assert len(seen) == len(dataset.volumes)


@pytest.mark.parametrize(('kind', 'name', 'channels'), SETS)
def test_the_truth_on_another_grid_scores_nearly_one(roots, tmp_path, kind, name, channels):
    classes = len(kind.METAINFO['classes'])
    fitted = dict(type='ResampleInPlane', size=(64, 64))
    dataset = kind(str(roots / name), pipeline=pipeline(tmp_path, classes, fitted, test=True), test_mode=True)
    metric = metric_for(dataset, **({'regions': REGIONS} if name == 'brats' else {}))
    for index in reversed(range(len(dataset))):  # slices arrive in any order
        sample = dataset[index]
        assert sample['inputs'].shape == (channels, 64, 64)
        metric.process(None, [predicted(sample, truth_as_scores(sample, classes))])
    scores = metric.evaluate(len(dataset))
    assert scores['dice'] > 0.999
    assert len(metric.table.case_ids) == len(dataset.volumes)
    one = dataset.volumes[0]
    time = () if one.get('frame') is None else (one['frame'],)
    labels = read_volume(one['seg_map_path'])
    row = metric.table.case_ids.index(one['case_id'])
    expected = np.isin(labels.array[(..., *time)], [1]).sum() * np.prod(labels.spacing_mm)
    first = dataset.metainfo['classes'][1]
    assert metric.table.column(first, 'target_volume_mm3')[row] == pytest.approx(expected)


def test_acdc_names_phases_and_keeps_frames_of_a_patient_together(roots, tmp_path):
    dataset = ACDCDataset(str(roots / 'acdc'))
    assert [volume['case_id'] for volume in dataset.volumes[:3]] == [
        'patient001_ED',
        'patient001_ES',
        'patient002_ED',
    ]
    assert len(ACDCDataset(str(roots / 'acdc'), 'test').volumes) == 2
    split = tmp_path / 'split.json'
    split.write_text(json.dumps({'train': ['patient001', 'patient003'], 'val': ['patient002']}))
    parts = [ACDCDataset(str(roots / 'acdc'), part, split_file=str(split)) for part in ('train', 'val')]
    assert [len(part.volumes) for part in parts] == [4, 2]
    check_disjoint(*parts)


def test_a_patient_in_two_parts_is_refused(roots, tmp_path):
    split = tmp_path / 'split.json'
    split.write_text(json.dumps({'train': ['patient001_ED', 'patient002'], 'val': ['patient001_ES']}))
    with pytest.raises(DataError, match="expected each patient in one part, found volumes of patient001 in 'train'"):
        ACDCDataset(str(roots / 'acdc'), 'train', split_file=str(split))
    split.write_text(json.dumps({'folds': [{'train': ['patient002'], 'val': ['patient001_ES', 'patient001_ED']}]}))
    assert len(ACDCDataset(str(roots / 'acdc'), 'val', split_file=str(split), fold=0).volumes) == 2
    split.write_text(json.dumps({'val': ['patient009']}))
    with pytest.raises(DataError, match=r'no image for patient009 \(1 of 1\)'):
        ACDCDataset(str(roots / 'acdc'), 'val', split_file=str(split))


def test_mnms_finds_the_labelled_times(roots, tmp_path):
    dataset = MnMsDataset(str(roots / 'mnms'), cache_dir=str(tmp_path))
    assert [volume['frame'] for volume in dataset.volumes] == [0, 2, 0, 2]
    assert dataset.volumes[1]['case_id'] == dataset.volumes[1]['patient_id'] + '_t02'
    assert len(list(tmp_path.glob('*-times-*.json'))) == 2
    again = MnMsDataset(str(roots / 'mnms'), cache_dir=str(tmp_path))
    assert again.volumes == dataset.volumes
    for part in ('val', 'test'):
        assert len(MnMsDataset(str(roots / 'mnms'), part).volumes) == 2


def test_brats_maps_4_to_3_and_takes_some_modalities(roots, tmp_path):
    modalities = ('t1ce', 't2', 'flair')
    dataset = BraTSDataset(str(roots / 'brats'), modalities=modalities, pipeline=pipeline(tmp_path, 4))
    sample = dataset[2]
    assert sample['inputs'].shape[0] == 3
    volume = dataset.volumes[0]
    raw = read_volume(volume['seg_map_path']).array[..., 2]
    np.testing.assert_array_equal(sample['data_samples'].gt_sem_seg.data[0], np.where(raw == 4, 3, raw))
    assert set(np.unique(raw)) >= {2, 4}
    for number, path in enumerate(volume['modality_paths']):
        np.testing.assert_array_equal(sample['inputs'][number], read_volume(path).array[..., 2])
    assert BraTSDataset(str(roots / 'brats'), 'val').volumes[0]['seg_map_path'] is None
    with pytest.raises(ConfigError, match=r'Did you mean flair\?'):
        BraTSDataset(str(roots / 'brats'), modalities=('flare',))


def test_files_of_a_case_may_be_turned_differently(tmp_path):
    straight, turned = (write_brats(tmp_path / str(way), 1, size=(9, 11, 6), turned=way) for way in (False, True))
    datasets = [BraTSDataset(str(root), pipeline=pipeline(tmp_path / 'store', 4)) for root in (straight, turned)]
    shapes = {read_volume(path).affine[:3, :3].tobytes() for path in datasets[1].volumes[0]['modality_paths']}
    assert len(shapes) > 1
    for index in range(6):
        a, b = (dataset[index] for dataset in datasets)
        np.testing.assert_array_equal(a['inputs'], b['inputs'])
        np.testing.assert_array_equal(a['data_samples'].gt_sem_seg.data, b['data_samples'].gt_sem_seg.data)


def test_an_orientation_chooses_the_slices(roots, tmp_path):
    plain = SynapseDataset(str(roots / 'synapse'), pipeline=pipeline(tmp_path, 14))
    turned = SynapseDataset(str(roots / 'synapse'), orientation='SLP', pipeline=pipeline(tmp_path, 14))
    size = read_volume(plain.volumes[0]['img_path']).size
    assert turned.get_data_info(0)['num_slices'] == size[1]  # across the axis from front to back
    index = 5
    expected = read_volume(plain.volumes[0]['img_path']).array[::-1, index, :].T  # S, then L of a file that grows to R
    np.testing.assert_array_equal(turned[index]['inputs'][0], expected)
    np.testing.assert_array_equal(turned.class_counts().sum(axis=0), plain.class_counts().sum(axis=0))


def test_synapse_labels_of_either_name(roots, tmp_path):
    root = write_synapse(tmp_path, 1, 0, size=(16, 15, 3), same_names=True)
    assert SynapseDataset(str(root)).volumes[0]['seg_map_path'].endswith('synapse_train_label/DET0000001.nii.gz')
    assert SynapseDataset(str(roots / 'synapse'), 'test').volumes[0]['seg_map_path'] is None


def test_unlabelled_slices_can_be_predicted(roots, tmp_path):
    load = [dict(type='LoadCase', num_channels=1), HALVED]
    dataset = SynapseDataset(
        str(roots / 'synapse'),
        'test',
        pipeline=[dict(type='LoadSlice', pipeline=load, store_dir=str(tmp_path)), dict(type='PackSliceInputs')],
    )
    data = dataset[0]['data_samples']
    assert 'gt_sem_seg' not in data
    assert data.spacing_mm == pytest.approx((3.0, 0.8, 0.8))
    with pytest.raises(DataError, match='expected labels to count, found no seg_map_path'):
        dataset.class_counts()
