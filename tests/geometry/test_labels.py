"""Label maps keep their numbers."""

import nibabel
import numpy as np
import pytest
from PIL import Image

from mmseg_medical.geometry import Volume, read_labels, write_volume


def labels_of(tmp_path, array):
    np.save(tmp_path / 'a.npy', array)
    return read_labels(tmp_path / 'a.npy').array


@pytest.mark.parametrize(
    ('low', 'high', 'dtype'),
    [
        (0, 0, 'uint8'),
        (0, 255, 'uint8'),
        (0, 256, 'uint16'),
        (0, 65535, 'uint16'),
        (0, 65536, 'uint32'),
        (0, 1 << 32, 'uint64'),
        (-1, 127, 'int8'),
        (-1, 128, 'int16'),
        (-128, 0, 'int8'),
        (-129, 0, 'int16'),
        (-1, 32768, 'int32'),
        (-1, 1 << 31, 'int64'),
        (-1, (1 << 63) - 1, 'int64'),
        (5, 7, 'uint8'),
    ],
)
def test_smallest_type(tmp_path, low, high, dtype):
    read = labels_of(tmp_path, np.array([[low, high]], np.int64))
    assert read.dtype == np.dtype(dtype)
    assert read.tolist() == [[low, high]]


@pytest.mark.parametrize('dtype', ['bool', 'uint8', '>i4', 'float16', 'float32', '>f8'])
@pytest.mark.parametrize('order', ['C', 'F'])
def test_types(tmp_path, dtype, order):
    values = np.random.default_rng(0).integers(0, 2, (3, 5, 7))
    read = labels_of(tmp_path, np.asarray(values, dtype, order=order))
    assert read.dtype == np.uint8
    np.testing.assert_array_equal(read, values)


def test_floats_of_more_than_a_piece(tmp_path):
    values = np.random.default_rng(0).integers(-3, 4, (1100, 1000)).astype(np.float32)
    np.testing.assert_array_equal(labels_of(tmp_path, values), values)
    values[1099, 999] = 0.5
    with pytest.raises(ValueError, match=r'found 0\.5 in a float32 array'):
        labels_of(tmp_path, values)


def test_the_first_wrong_value_is_named(tmp_path):
    with pytest.raises(ValueError, match='whole numbers') as caught:
        labels_of(tmp_path, np.array([[0, 1, 0.25], [np.nan, 1, 2]]))
    assert str(caught.value) == (
        f'{tmp_path / "a.npy"}: expected whole numbers as labels, found 0.25 in a float64 array. Threshold or round it '
        'where its meaning is known; a probability map is no label map.'
    )


@pytest.mark.parametrize(
    ('value', 'text'), [(np.nan, 'nan'), (np.inf, 'inf'), (-np.inf, '-inf'), (1e300, r'1e\+300'), (1.01, r'1\.01')]
)
def test_floats_that_are_no_labels(tmp_path, value, text):
    with pytest.raises(ValueError, match=rf'a\.npy: expected whole numbers as labels, found {text} in a float64'):
        labels_of(tmp_path, np.array([[0, value]]))


@pytest.mark.parametrize(
    ('value', 'accepted'), [(1 + 9e-7, True), (1 - 9e-7, True), (1 + 2e-6, False), (200.0001, True)]
)
def test_rounding(tmp_path, value, accepted):
    if accepted:
        assert labels_of(tmp_path, np.array([[value]])).tolist() == [[round(value)]]
    else:
        with pytest.raises(ValueError, match='whole numbers'):
            labels_of(tmp_path, np.array([[value]]))


def test_complex(tmp_path):
    with pytest.raises(ValueError, match=r'a\.npy: expected labels of an integer type, found complex64'):
        labels_of(tmp_path, np.zeros((2, 3), np.complex64))


@pytest.mark.parametrize('steps', [255, 10, 3, 7])
def test_scaled_nifti(tmp_path, steps):
    """Labels stored as steps of a fraction that float32 cannot hold."""
    labels = np.arange(0, 256, dtype=np.uint16).reshape(4, 8, 8)
    content = bytearray(nibabel.Nifti1Image(labels * steps, np.eye(4)).to_bytes())
    content[112:120] = np.array([1 / steps, 0], '<f4').tobytes()
    (tmp_path / 'a.nii').write_bytes(content)
    read = read_labels(tmp_path / 'a.nii')
    assert read.array.dtype == np.uint8
    np.testing.assert_array_equal(read.array, labels)
    np.testing.assert_array_equal(read.affine, np.eye(4))
    assert read.source == str(tmp_path / 'a.nii')


@pytest.mark.parametrize('mode', ['RGB', 'RGBA', 'LA'])
def test_colours(tmp_path, mode):
    Image.new(mode, (7, 5)).save(tmp_path / 'a.png')
    message = rf'a\.png: expected a label map with one value a voxel, found {len(mode)} channels .*Colours say nothing'
    with pytest.raises(ValueError, match=message):
        read_labels(tmp_path / 'a.png')


def test_times(tmp_path):
    write_volume(Volume(np.zeros((2, 3, 4, 2), np.uint8), np.eye(4), has_channels=True), tmp_path / 'a.nii')
    with pytest.raises(ValueError, match=r'a\.nii: .* found 2 channels or times \(shape \(2, 3, 4, 2\)\)'):
        read_labels(tmp_path / 'a.nii')


@pytest.mark.realdata
def test_hippocampus(realdata):
    for path in sorted((realdata / 'Task04_Hippocampus' / 'labelsTr').glob('hippocampus_*.nii.gz')):
        labels = read_labels(path)
        assert labels.array.dtype == np.uint8
        assert np.unique(labels.array).tolist() == [0, 1, 2]
        assert labels.spacing_mm == (1, 1, 1)
        np.testing.assert_array_equal(labels.affine, nibabel.load(path).affine)


@pytest.mark.realdata
def test_acdc(realdata):
    files = sorted((realdata / 'ACDC' / 'training').glob('patient*/*_gt.nii.gz'))
    assert len(files) == 12
    for path in files:
        labels = read_labels(path)
        assert set(np.unique(labels.array)) <= {0, 1, 2, 3}
        np.testing.assert_allclose(labels.spacing_mm, (1.5, 1.5, 10))
