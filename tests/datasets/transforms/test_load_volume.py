import gzip

import numpy as np
import pytest

from mmseg_medical.datasets import DataError
from mmseg_medical.datasets.transforms import LoadVolume
from mmseg_medical.geometry import Volume, write_volume

AFFINE = np.array([[0, -2.0, 0, 5], [1.5, 0, 0, -6], [0, 0, 3.0, 7], [0, 0, 0, 1]])


def _write(path, array, affine=AFFINE, has_channels=False):
    write_volume(Volume(array, affine, has_channels=has_channels), path)
    return str(path)


@pytest.fixture
def image():
    return np.random.default_rng(0).normal(size=(7, 5, 3)).astype(np.float32)


def test_image_and_its_place(tmp_path, image):
    path = _write(tmp_path / 'a.nii.gz', image)
    results = LoadVolume(num_channels=1, rank=3)(dict(img_path=path, case_id='a'))
    np.testing.assert_array_equal(results['img'], image[None])
    assert results['img'].dtype == np.float32
    assert results['img'].flags.c_contiguous
    assert results['ori_shape'] == results['img_shape'] == results['native_grid'].size == (7, 5, 3)
    np.testing.assert_allclose(results['affine'], AFFINE)
    np.testing.assert_allclose(results['spacing_mm'], (1.5, 2, 3))
    assert (results['grid_steps'], results['augmentations'], results['img_path']) == ([], [], path)


@pytest.mark.parametrize('dtype', [np.uint8, np.int16, np.int32, np.float64])
def test_types(tmp_path, dtype):
    array = np.arange(24).reshape(2, 3, 4).astype(dtype)
    results = LoadVolume()(dict(img_path=_write(tmp_path / 'a.nii', array)))
    assert results['img'].dtype == np.float32
    np.testing.assert_array_equal(results['img'][0], array)


def test_modalities_are_stacked(tmp_path, image):
    paths = [_write(tmp_path / 'a.nii', image), _write(tmp_path / 'b.mha', 2 * image)]
    results = LoadVolume(num_channels=2)(dict(img_path=paths))
    np.testing.assert_array_equal(results['img'], [image, 2 * image])
    assert results['img_path'] == paths


def test_fourth_axis_becomes_channels(tmp_path):
    array = np.arange(120, dtype=np.int16).reshape(2, 3, 4, 5)
    results = LoadVolume(num_channels=5, rank=3)(dict(img_path=_write(tmp_path / 'a.nii', array, has_channels=True)))
    np.testing.assert_array_equal(results['img'], np.moveaxis(array, -1, 0))
    assert results['img'].flags.c_contiguous


@pytest.mark.parametrize('given', ['volume', 'array', 'list', 'reversed'])
def test_in_memory(image, given):
    volume = {
        'volume': Volume(image, AFFINE),
        'array': image,
        'list': [Volume(image, AFFINE)],
        'reversed': image[::-1, :, ::-1],
    }[given]
    before = image.copy()
    results = LoadVolume()(dict(volume=volume))
    expected = image[::-1, :, ::-1] if given == 'reversed' else image
    np.testing.assert_array_equal(results['img'][0], expected)
    results['img'][:] = 7
    np.testing.assert_array_equal(image, before)
    assert (results['affine'] is None) == (given in ('array', 'reversed'))


def test_arrays_with_channels():
    assert LoadVolume()(dict(volume=np.zeros((4, 5, 6, 7))))['img'].shape == (4, 5, 6, 7)
    assert LoadVolume(rank=2)(dict(volume=np.zeros((3, 5, 6))))['img'].shape == (3, 5, 6)
    assert LoadVolume(rank=2)(dict(volume=np.zeros((5, 6))))['img'].shape == (1, 5, 6)
    assert LoadVolume()(dict(volume=np.zeros((1, 1, 1))))['img'].shape == (1, 1, 1, 1)


def _message(transform, **results):
    with pytest.raises(DataError) as caught:
        transform(results)
    return str(caught.value)


def test_truncated_gzip(tmp_path, image):
    path = tmp_path / 'cut.nii.gz'
    _write(path, image)
    path.write_bytes(path.read_bytes()[:-60])
    assert f'{path}: expected' in _message(LoadVolume(), img_path=str(path))


def test_zero_bytes(tmp_path):
    (tmp_path / 'empty.nii.gz').touch()
    assert 'empty.nii.gz: expected an image, found a file of zero bytes' in _message(
        LoadVolume(), img_path=str(tmp_path / 'empty.nii.gz')
    )


def test_missing_file(tmp_path):
    assert 'nowhere.nii' in _message(LoadVolume(), img_path=str(tmp_path / 'nowhere.nii'))


def test_header_that_claims_more_than_there_is(tmp_path, image):
    path = tmp_path / 'a.nii'
    _write(path, image)
    data = bytearray(path.read_bytes())
    data[42:44] = (30000).to_bytes(2, 'little')
    path.write_bytes(data)
    assert 'as its header says' in _message(LoadVolume(), img_path=str(path))


def test_not_finite(tmp_path, image):
    image[0, 1, 2], image[1, 1, 1], image[2, 2, 2] = np.nan, np.inf, -np.inf
    path = _write(tmp_path / 'a.nii.gz', image)
    message = _message(LoadVolume(), img_path=path)
    found = '1 NaN and 2 infinite of 105 voxels, the first at (0, 1, 2)'
    assert f'{path}: expected finite values, found {found}' in message


def test_what_float32_cannot_hold():
    assert '1 infinite of 8' in _message(LoadVolume(), volume=np.array([1e39, *[0] * 7]).reshape(2, 2, 2), case_id='c')


def test_largest_values_are_finite():
    array = np.full((2, 2, 2), np.finfo(np.float32).max)
    np.testing.assert_array_equal(LoadVolume()(dict(volume=array))['img'][0], array)


def test_complex_numbers():
    assert 'expected real numbers, found complex64' in _message(LoadVolume(), volume=np.ones((2, 2, 2), np.complex64))


def test_plane_for_a_model_of_volumes(tmp_path):
    path = _write(tmp_path / 'plane.png', np.zeros((5, 6), np.uint8), None)
    assert 'plane.png: expected an image of 3 axes, found 2 axes (size (5, 6))' in _message(
        LoadVolume(rank=3), img_path=path
    )


def test_wrong_number_of_channels(tmp_path, image):
    path = _write(tmp_path / 'a.nii', image)
    assert 'a.nii: expected 4 channels, found 1 (size (7, 5, 3), 1 file).' in _message(LoadVolume(4), img_path=path)
    assert 'expected 1 channel, found 2 (size (7, 5, 3), 2 files).' in _message(LoadVolume(1), img_path=[path, path])


@pytest.mark.parametrize('other', [AFFINE * 1.01, AFFINE + np.eye(4)[:, [3]] @ np.eye(4)[[0]] * 0.01])
def test_modalities_on_different_grids(tmp_path, image, other):
    other = other.copy()
    other[3] = 0, 0, 0, 1
    other[0, 3] += 0.5
    paths = [_write(tmp_path / 'a.nii', image), _write(tmp_path / 'b.nii', image, other)]
    message = _message(LoadVolume(), img_path=paths)
    assert 'b.nii: expected the grid of the first modality' in message
    assert 'the affines differ' in message


def test_modalities_of_different_size(tmp_path, image):
    paths = [_write(tmp_path / 'a.nii', image), _write(tmp_path / 'b.nii', image[:-1])]
    assert 'has size (7, 5, 3)' in _message(LoadVolume(), img_path=paths)


def test_wrong_arguments():
    with pytest.raises(ValueError, match='rank must be 2 or 3'):
        LoadVolume(rank=4)


def test_gzip_of_something_else(tmp_path):
    path = tmp_path / 'a.nii.gz'
    path.write_bytes(gzip.compress(b'no header'))
    assert 'a.nii.gz: expected a NIfTI header' in _message(LoadVolume(), img_path=str(path))
