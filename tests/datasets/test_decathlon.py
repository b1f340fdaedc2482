from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from mmseg_medical.datasets import MSDDataset
from mmseg_medical.datasets.decathlon import TASKS
from mmseg_medical.datasets.errors import DataError
from mmseg_medical.datasets.phantoms import write_decathlon
from mmseg_medical.geometry import read_volume

LOAD = [dict(type='LoadVolume'), dict(type='LoadVolumeAnnotations'), dict(type='PackVolumeInputs')]
TASK = 'Task04_Hippocampus'


def change(root: Path, **entries) -> None:
    path = root / TASK / 'dataset.json'
    path.write_text(json.dumps({**json.loads(path.read_text()), **entries}))


@pytest.fixture
def root(tmp_path):
    return write_decathlon(tmp_path, TASK, num_cases=3, size=(8, 9, 7))


@pytest.mark.parametrize('task', TASKS)
def test_every_task_is_read(tmp_path, task):
    write_decathlon(tmp_path, task, num_cases=2, size=(9, 8, 7), turned=True)
    dataset = MSDDataset(str(tmp_path), task, pipeline=LOAD)
    assert len(dataset) == 2
    assert dataset.metainfo['classes'][0] == 'background'
    assert len(dataset.metainfo['palette']) == len(dataset.metainfo['classes'])
    sample = dataset[1]
    assert sample['inputs'].shape[0] == (4 if 'Brain' in task else 1)
    label = sample['data_samples'].gt_sem_seg.data
    assert label.shape == (1, *sample['inputs'].shape[1:])
    assert sample['data_samples'].case_id == dataset.get_data_info(1)['case_id']
    test = MSDDataset(str(tmp_path), task, 'test')
    assert len(test) == 1
    assert test.get_data_info(0)['seg_map_path'] is None


def test_the_folder_of_the_task_will_do(root):
    assert len(MSDDataset(str(root / TASK), TASK)) == 3


def test_a_list_of_cases(root, tmp_path):
    split = tmp_path / 'split.json'
    split.write_text(json.dumps({'train': ['hippocampus_003', 'hippocampus_001'], 'val': ['hippocampus_002']}))
    dataset = MSDDataset(str(root), split='train', split_file=str(split))
    assert [dataset.get_data_info(i)['case_id'] for i in range(2)] == ['hippocampus_003', 'hippocampus_001']
    split.write_text(json.dumps({'val': ['hippocampus_009']}))
    with pytest.raises(DataError, match='no image for hippocampus_009'):
        MSDDataset(str(root), split='val', split_file=str(split))


def test_folds(root, tmp_path):
    split = tmp_path / 'split.json'
    split.write_text(json.dumps({'folds': [{'val': ['hippocampus_002']}, {'val': ['hippocampus_001']}]}))
    dataset = MSDDataset(str(root), split='val', split_file=str(split), fold=1)
    assert dataset.get_data_info(0)['case_id'] == 'hippocampus_001'
    assert dataset.description == f"MSDDataset {TASK} split 'val' of fold 1"


def test_labels_with_gaps_are_numbered(root):
    change(root, labels={'0': 'background', '1': 'Anterior', '5': 'Posterior'})
    entry = MSDDataset(str(root)).get_data_info(0)
    assert entry['label_map'] == {0: 0, 1: 1, 5: 2}


def test_what_archivers_leave_is_passed_over(root):
    listed = json.loads((root / TASK / 'dataset.json').read_text())['training']
    change(root, training=[{'image': './imagesTr/._a.nii.gz', 'label': './labelsTr/._a.nii.gz'}, *listed])
    assert len(MSDDataset(str(root))) == 3


@pytest.mark.parametrize(
    ('entries', 'message'),
    [
        (dict(training=3), "expected a list 'training'"),
        (dict(labels={'a': 'b'}), 'expected labels from 0'),
        (dict(labels={'1': 'b', '2': 'c'}), 'expected labels from 0'),
        (dict(training=[{'image': './imagesTr/none.nii.gz', 'label': './labelsTr/none.nii.gz'}]), 'no such file'),
        (dict(training=[{'image': 'a.nii.gz', 'label': 'b.nii.gz'}]), 'a label of the name of its image, a'),
        (dict(training=[{'image': 3}]), 'expected names of image files'),
    ],
)
def test_lists_that_cannot_be_used(root, entries, message):
    change(root, **entries)
    with pytest.raises(DataError, match=message):
        MSDDataset(str(root))


def test_a_case_listed_twice(root):
    listed = json.loads((root / TASK / 'dataset.json').read_text())['training']
    change(root, training=[*listed, listed[0]])
    with pytest.raises(DataError, match='hippocampus_001 twice'):
        MSDDataset(str(root))


def test_missing_or_misspelt(root, tmp_path):
    with pytest.raises(DataError, match='no such folder'):
        MSDDataset(str(tmp_path / 'none'))
    with pytest.raises(DataError) as raised:
        MSDDataset(str(tmp_path / 'nowhere'), 'Task01_BrainTumour')
    assert 'Did you mean' not in str(raised.value)  # the name is right
    with pytest.raises(DataError, match='Did you mean Task04_Hippocampus'):
        MSDDataset(str(root), 'Task04_Hipocampus')
    with pytest.raises(DataError, match="out of 'train', 'test'"):
        MSDDataset(str(root), split='val')
    (root / TASK / 'dataset.json').write_text('{')
    with pytest.raises(DataError, match='Unpack the archive'):
        MSDDataset(str(root))


def test_errors_of_the_pipeline_name_the_case(root):
    (root / TASK / 'imagesTr' / 'hippocampus_002.nii.gz').write_bytes(b'')
    with pytest.raises(DataError, match=r"MSDDataset Task04_Hippocampus split 'train', case hippocampus_002: .*zero"):
        MSDDataset(str(root), pipeline=LOAD)[1]


def test_phantoms_depend_on_the_seed_alone(tmp_path):
    volumes = []
    for name, seed in (('a', 3), ('b', 3), ('c', 4)):
        write_decathlon(tmp_path / name, num_cases=1, num_test=0, turned=True, seed=seed)
        volumes.append(read_volume(tmp_path / name / TASK / 'imagesTr' / 'hippocampus_001.nii.gz'))
    assert np.array_equal(volumes[0].array, volumes[1].array)
    assert np.array_equal(volumes[0].affine, volumes[1].affine)
    assert volumes[0].array.shape != volumes[2].array.shape


def test_phantoms_are_turned_and_spaced(tmp_path):
    root = write_decathlon(tmp_path, num_cases=4, num_test=0, size=(8, 8, 8), spacing_mm=(1, 1, 3), turned=True)
    volumes = [read_volume(path) for path in sorted((root / TASK / 'imagesTr').iterdir())]
    assert len({np.sign(volume.affine[:3, :3]).tobytes() for volume in volumes}) > 1
    assert all(sorted(volume.spacing_mm) == pytest.approx([1, 1, 3]) for volume in volumes)


@pytest.mark.realdata
def test_the_real_hippocampi(realdata):
    dataset = MSDDataset(str(realdata), split_file='configs/rare_unet/splits/hippocampus_166_42.json', pipeline=LOAD)
    assert len(dataset) == 166
    sample = dataset[0]
    assert set(sample['data_samples'].gt_sem_seg.data.unique().tolist()) == {0, 1, 2}
    assert dataset.metainfo['classes'] == ('background', 'Anterior', 'Posterior')
