"""What is wrong with files either works as documented or gives one precise error."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from slice_samples import metric_for, pipeline, predicted, truth_as_scores

from mmseg_medical.datasets import ACDCDataset, BraTSDataset, DataError, MnMsDataset, SynapseDataset
from mmseg_medical.datasets.phantoms import write_acdc, write_brats, write_mnms, write_synapse
from mmseg_medical.geometry import Volume, read_volume, write_volume


@pytest.fixture
def acdc(tmp_path):
    return write_acdc(tmp_path / 'acdc', 2, 0, size=(12, 13, 4))


def only(folder, pattern):
    (found,) = folder.rglob(pattern)
    return found


def change(path, make):
    volume = read_volume(path)
    write_volume(make(volume), path)


def with_array(make):
    return lambda volume: Volume(make(volume.array), volume.affine, volume.source, volume.has_channels)


@pytest.mark.parametrize(
    ('pattern', 'message'), [('*frame01.nii.gz', 'the image of ED'), ('*01_gt*', 'the mask of ED')]
)
def test_missing_frame_or_mask(acdc, pattern, message):
    only(acdc / 'training/patient002', pattern).unlink()
    with pytest.raises(DataError, match=f'patient002_frame01.*expected {message} .*found no such file'):
        ACDCDataset(str(acdc))


@pytest.mark.parametrize(
    ('text', 'found'),
    [('ED: 1\nGroup: NOR\n', 'found only ED, Group'), ('ED: one\nES: 2\n', 'found "ED: one"'), ('', 'an empty file')],
)
def test_info_without_phases(acdc, text, found):
    path = acdc / 'training/patient001/Info.cfg'
    path.write_text(text)
    with pytest.raises(DataError, match=found) as error:
        ACDCDataset(str(acdc))
    assert str(path) in str(error.value)
    path.unlink()
    with pytest.raises(DataError, match=r'Info\.cfg: expected a readable file'):
        ACDCDataset(str(acdc))


def test_mask_on_another_grid(acdc, tmp_path):
    path = only(acdc / 'training/patient001', '*frame01_gt*')
    change(path, lambda v: Volume(v.array, v.affine @ np.diag([2, 1, 1, 1]), v.source))
    dataset = ACDCDataset(str(acdc), pipeline=pipeline(tmp_path, 4))
    with pytest.raises(DataError, match=r'case patient001_ED: .*_gt\.nii\.gz: .*expected the grid of its'):
        dataset[0]
    change(path, with_array(lambda a: a[:-1]))
    with pytest.raises(DataError, match=r'has size \(11, 13, 4\)'):
        dataset[0]


def test_unknown_label(acdc, tmp_path):
    change(only(acdc / 'training/patient001', '*frame01_gt*'), with_array(lambda a: a + np.uint8(4) * (a == 3)))
    dataset = ACDCDataset(str(acdc), pipeline=pipeline(tmp_path, 4))
    with pytest.raises(DataError, match=r'_gt\.nii\.gz: .*expected labels 0\.\.3 .*found 7'):
        dataset[0]
    with pytest.raises(DataError, match=r'_gt\.nii\.gz: .*expected labels 0\.\.3 .*found 7'):
        dataset.class_counts()


def test_unknown_label_of_brats(tmp_path):
    root = write_brats(tmp_path, 1, size=(8, 9, 4))
    change(only(root, '*_seg*'), with_array(lambda a: np.where(a == 4, 3, a).astype(np.uint8)))
    with pytest.raises(DataError, match=r'expected labels that label_map names \(0, 1, 2, 4\), found 3'):
        BraTSDataset(str(root), pipeline=pipeline(tmp_path / 'store', 4))[0]


def test_four_axes_for_three(acdc):
    change(only(acdc / 'training/patient001', '*frame01.nii.gz'), lambda v: four(v))
    with pytest.raises(DataError, match='expected one volume of three axes, found four axes, 2 times'):
        ACDCDataset(str(acdc))


def test_labels_of_four_axes_for_three(acdc, tmp_path):
    change(only(acdc / 'training/patient001', '*frame01_gt*'), lambda v: four(v))
    with pytest.raises(DataError, match=r'_gt\.nii\.gz: expected one volume of three axes, found 4 axes'):
        ACDCDataset(str(acdc), pipeline=pipeline(tmp_path, 4))[0]


def four(volume):
    return Volume(np.stack([volume.array] * 2, axis=-1), volume.affine, has_channels=True)


def test_three_axes_for_four(tmp_path):
    root = write_mnms(tmp_path, 1, 0, 0, size=(9, 8, 3), times=2)
    for path in root.rglob('*.nii.gz'):
        change(path, lambda v: Volume(np.ascontiguousarray(v.array[..., 0]), v.affine))
    with pytest.raises(DataError, match=r'a series of four axes .*found three axes and three axes'):
        MnMsDataset(str(root))


def test_times_of_image_and_labels_differ(tmp_path):
    root = write_mnms(tmp_path, 1, 0, 0, size=(9, 8, 3), times=4)
    change(only(root, '*_sa_gt*'), with_array(lambda a: np.ascontiguousarray(a[..., :3])))
    with pytest.raises(DataError, match=r'as many times as .*_sa\.nii\.gz, found 4 times and 3 times'):
        MnMsDataset(str(root))
    change(only(root, '*_sa_gt*'), with_array(lambda a: np.zeros((9, 8, 3, 4), np.uint8)))
    with pytest.raises(DataError, match='expected labels at some time, found one value at each of 4 times'):
        MnMsDataset(str(root))


def test_missing_modality(tmp_path):
    root = write_brats(tmp_path, 1, size=(8, 9, 4))
    only(root, '*_t2.nii.gz').rename(root / 'BraTS2021_Training_Data/BraTS2021_00000/BraTS2021_00000_T2.nii.gz')
    with pytest.raises(DataError, match=r'_t2\.nii\.gz: expected the modality t2 .*Did you mean .*BraTS2021_00000_T2'):
        BraTSDataset(str(root))
    assert len(BraTSDataset(str(root), modalities=('t1', 'flair'))) == 4


def test_modalities_on_different_grids(tmp_path):
    root = write_brats(tmp_path, 1, size=(8, 9, 4))
    change(only(root, '*_t2.nii.gz'), lambda v: Volume(v.array, v.affine @ np.diag([1, 1, 2, 1])))
    with pytest.raises(DataError, match=r'_t2\.nii\.gz: expected the grid of the first modality'):
        BraTSDataset(str(root), pipeline=pipeline(tmp_path / 'store', 4))[0]


@pytest.mark.parametrize('neighbours', [0, 2])
def test_a_volume_of_one_slice(tmp_path, neighbours):
    root = write_acdc(tmp_path, 1, 0, size=(33, 39, 1))
    steps = dict(type='ResampleInPlane', size=(37, 31)), dict(type='NormalizeIntensity')
    dataset = ACDCDataset(str(root), pipeline=pipeline(tmp_path / 's', 4, *steps, test=True, neighbours=neighbours))
    assert len(dataset) == 2
    metric = metric_for(dataset, surface='voxel')
    for index in range(2):
        sample = dataset[index]
        assert sample['inputs'].shape == (2 * neighbours + 1, 37, 31)
        assert torch.equal(sample['inputs'][0], sample['inputs'][-1])
        metric.process(None, [predicted(sample, truth_as_scores(sample, 4))])
    assert metric.evaluate(2)['dice.LV'] > 0.8


@pytest.mark.parametrize(
    'step',
    [
        dict(type='NormalizeIntensity', percentiles=(0.5, 99.5)),
        dict(type='NormalizeInside', region='body', percentiles=(1, 99)),
        dict(type='NormalizeInside', region='brain', outside='same'),
    ],
)
def test_no_variance_becomes_zero(acdc, tmp_path, step):
    change(only(acdc / 'training/patient001', '*frame01.nii.gz'), with_array(lambda a: np.full_like(a, 7)))
    image = ACDCDataset(str(acdc), pipeline=pipeline(tmp_path, 4, step))[0]['inputs']
    assert (image == 0).all()


def test_a_case_of_background_only(acdc, tmp_path):
    for path in acdc.rglob('*_gt.nii.gz'):
        change(path, with_array(np.zeros_like))
    dataset = ACDCDataset(str(acdc), pipeline=pipeline(tmp_path, 4, test=True))
    metric = metric_for(dataset)
    for index in range(len(dataset)):
        sample = dataset[index]
        assert sample['data_samples'].gt_sem_seg.data.max() == 0
        metric.process(None, [predicted(sample, truth_as_scores(sample, 4))])
    assert np.isnan(metric.evaluate(len(dataset))['dice'])  # nothing there, nothing found: not defined, and counted
    assert (dataset.class_counts()[:, 1:] == 0).all()


def test_a_damaged_file_is_named(acdc, tmp_path):
    path = only(acdc / 'training/patient001', '*frame01.nii.gz')
    dataset = ACDCDataset(str(acdc), pipeline=pipeline(tmp_path, 4))
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(DataError, match=r'case patient001_ED: .*frame01\.nii\.gz: expected a complete gzip file'):
        dataset[0]
    path.write_bytes(b'')
    with pytest.raises(DataError, match='found a file of zero bytes'):
        ACDCDataset(str(acdc))


@pytest.mark.parametrize('kind', [ACDCDataset, MnMsDataset, BraTSDataset, SynapseDataset])
def test_no_such_folder_or_nothing_in_it(tmp_path, kind):
    for root in (tmp_path / 'nowhere', tmp_path):
        with pytest.raises(DataError, match=r'expected .*docs/slices\.md'):
            kind(str(root))
    with pytest.raises(DataError, match='a split out of'):
        kind(str(tmp_path), 'trian')


def test_missing_labels_of_synapse(tmp_path):
    root = write_synapse(tmp_path, 2, 0, size=(12, 11, 3))
    only(root, 'DET0000002_seg*').unlink()
    with pytest.raises(DataError, match=r'DET0000002_seg\.nii\.gz: expected the labels'):
        SynapseDataset(str(root))
