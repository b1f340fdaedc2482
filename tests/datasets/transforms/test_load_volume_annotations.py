import numpy as np
import pytest

from mmseg_medical.datasets import DataError
from mmseg_medical.datasets.transforms import (
    CropOrPadVolume,
    LoadVolume,
    LoadVolumeAnnotations,
    RandomFlipVolume,
    RandomPatch,
)
from mmseg_medical.geometry import Volume, write_volume

AFFINE = np.diag([1.0, 2.0, 3.0, 1.0])
SIZE = (5, 7, 3)


@pytest.fixture
def label():
    return np.random.default_rng(1).integers(0, 4, SIZE).astype(np.uint8)


@pytest.fixture
def pair(tmp_path, label):
    for name, array in (('image', np.ones(SIZE, np.float32)), ('label', label)):
        write_volume(Volume(array, AFFINE), tmp_path / f'{name}.nii.gz')
    return dict(img_path=str(tmp_path / 'image.nii.gz'), seg_map_path=str(tmp_path / 'label.nii.gz'), case_id='a')


def _load(pair, *between, **arguments):
    results = LoadVolume()(dict(pair))
    for transform in between:
        results = transform(results)
    return LoadVolumeAnnotations(**arguments)(results)


def _message(pair, **arguments):
    with pytest.raises(DataError) as caught:
        _load(pair, **arguments)
    return str(caught.value)


def test_labels(pair, label):
    results = _load(pair, num_classes=4)
    np.testing.assert_array_equal(results['gt_seg_map'], label)
    assert results['gt_seg_map'].dtype == np.uint8
    assert results['gt_seg_map'].flags.c_contiguous
    assert results['seg_fields'] == ['gt_seg_map']
    assert results['labels_on_native_grid'] is False


@pytest.mark.parametrize('kind', ['volume', 'array', 'float'])
def test_in_memory(label, kind):
    given = {'volume': Volume(label, AFFINE), 'array': label, 'float': label.astype(np.float64)}[kind]
    results = _load(dict(volume=Volume(np.zeros(SIZE), AFFINE), label_volume=given), num_classes=4)
    np.testing.assert_array_equal(results['gt_seg_map'], label)
    assert results['gt_seg_map'].dtype == np.uint8


def test_label_map(pair, label):
    results = _load(pair, num_classes=3, label_map={0: 0, 1: 1, 2: 1, 3: 2})
    np.testing.assert_array_equal(results['gt_seg_map'], np.array([0, 1, 1, 2])[label])
    assert results['gt_seg_map'].dtype == np.uint8


def test_label_map_of_the_data_set(pair, label):
    results = _load(dict(pair, label_map={0: 0, 1: 255, 2: 1, 3: 1}), num_classes=2)
    np.testing.assert_array_equal(results['gt_seg_map'], np.array([0, 255, 1, 1])[label])


def test_label_map_with_a_gap(pair):
    assert 'expected labels that label_map names (0, 1, 2), found 3.' in _message(pair, label_map={0: 0, 1: 1, 2: 2})


def test_regions(pair, label):
    results = _load(pair, regions=[[1, 2, 3], [2, 3], [3]])
    assert results['gt_seg_map'].dtype == np.uint8
    np.testing.assert_array_equal(results['gt_seg_map'], [label >= 1, label >= 2, label == 3])


def test_ignored_voxels_of_regions():
    label = np.array([[[0, 1, 255]]], np.uint8)
    pair = dict(volume=np.zeros((1, 1, 3)), label_volume=label)
    assert _load(pair, num_classes=2, regions=[[1], [0, 1]])['gt_seg_map'].tolist() == [
        [[[0, 1, 255]]],
        [[[1, 1, 255]]],
    ]


def test_truth_stays_on_the_native_grid(pair, label):
    results = _load(pair, CropOrPadVolume((8, 4, 4)), num_classes=4)
    assert results['img'].shape == (1, 8, 4, 4)
    np.testing.assert_array_equal(results['gt_seg_map'], label)
    assert results['labels_on_native_grid']
    with pytest.raises(RuntimeError, match='RandomPatch moves image and labels together'):
        RandomPatch((4, 4, 4))(results)
    with pytest.raises(RuntimeError, match='comes right behind LoadVolume'):
        CropOrPadVolume((4, 4, 4))(results)


@pytest.mark.parametrize('drawn', [RandomPatch((3, 3, 3)), RandomFlipVolume(prob=1.0)])
def test_behind_draws(pair, drawn):
    with pytest.raises(RuntimeError, match=f'comes behind {type(drawn).__name__}, which the labels then do not follow'):
        _load(pair, drawn)


def test_outside_the_range(pair):
    message = _message(pair, num_classes=2)
    assert 'label.nii.gz: expected labels 0..1 (or 255, which is ignored), found 2, 3.' in message


def test_negative_labels(pair, tmp_path):
    write_volume(Volume(np.full(SIZE, -1, np.int16), AFFINE), tmp_path / 'label.nii.gz')
    assert 'expected labels that are not negative, found -1.' in _message(pair)


def test_fractions(pair, tmp_path):
    write_volume(Volume(np.full(SIZE, 0.5, np.float32), AFFINE), tmp_path / 'label.nii.gz')
    assert 'expected whole numbers as labels, found 0.5' in _message(pair)


def test_fractions_in_memory():
    assert 'expected whole numbers' in _message(dict(volume=np.zeros(SIZE), label_volume=np.full(SIZE, 0.5)))


def test_whole_floats(pair, label, tmp_path):
    write_volume(Volume(label.astype(np.float32), AFFINE), tmp_path / 'label.nii.gz')
    np.testing.assert_array_equal(_load(pair, num_classes=4)['gt_seg_map'], label)


@pytest.mark.parametrize('what', ['size', 'spacing', 'origin', 'axes'])
def test_other_grid(pair, tmp_path, label, what):
    affine = AFFINE.copy()
    if what == 'size':
        label = label[:-1]
    if what == 'spacing':
        affine[1, 1] = 2.01
    if what == 'origin':
        affine[0, 3] = 1
    if what == 'axes':
        label, affine = label.transpose(2, 1, 0), AFFINE[:, [2, 1, 0, 3]]
    write_volume(Volume(label, affine), tmp_path / 'label.nii.gz')
    message = _message(pair)
    assert 'label.nii.gz: expected the grid of its image' in message
    assert 'image.nii.gz' in message


def test_without_labels(pair):
    assert 'expected seg_map_path or label_volume, found neither' in _message(dict(pair, seg_map_path=None))


def test_masks_as_a_fourth_axis(pair, tmp_path):
    write_volume(Volume(np.zeros((*SIZE, 2), np.uint8), AFFINE, has_channels=True), tmp_path / 'label.nii.gz')
    assert 'expected a label map with one value a voxel' in _message(pair)


def test_damaged_label(pair, tmp_path):
    path = tmp_path / 'label.nii.gz'
    path.write_bytes(path.read_bytes()[:-9])
    assert 'label.nii.gz: expected' in _message(pair)


def test_empty_label(pair, tmp_path):
    write_volume(Volume(np.zeros(SIZE, np.uint8), AFFINE), tmp_path / 'label.nii.gz')
    results = RandomPatch((3, 3, 3), foreground_prob=1.0)(_load(pair, num_classes=4))
    assert results['augmentations'][0]['drawn_class'] is None


def test_labels_in_memory_are_named_by_their_file():
    labels = Volume(np.full(SIZE, 0.5), None, 'patient1_gt.nii.gz')
    assert _message(dict(volume=np.zeros(SIZE), label_volume=labels)).startswith('patient1_gt.nii.gz: expected whole')
    labels = Volume(np.full(SIZE, 7), None, 'patient1_gt.nii.gz')
    given = dict(volume=np.zeros(SIZE), label_volume=labels)
    assert 'patient1_gt.nii.gz' in _message(given, num_classes=4)
