import cv2
import mmcv
import numpy as np
import pytest
from PIL import Image

from mmseg_medical.datasets.errors import DataError
from mmseg_medical.datasets.image_io import (
    choose_reduction,
    decode_image,
    image_size,
    jpeg_is_complete,
    read_bytes,
)
from mmseg_medical.datasets.phantoms import fundus_phantom


@pytest.fixture(scope='module')
def picture():
    return fundus_phantom((89, 131), seed=3).image


def _jpeg(picture, tmp_path, **options):
    path = tmp_path / 'IDRiD_01.jpg'
    Image.fromarray(np.ascontiguousarray(picture[..., ::-1])).save(path, **options)
    return path


@pytest.mark.parametrize('options', [{}, {'progressive': True}, {'restart_marker_rows': 1}, {'subsampling': 0}])
def test_full_decoding_gives_mmcvs_pixels(picture, tmp_path, options):
    path = _jpeg(picture, tmp_path, **options)
    data = read_bytes(path)
    assert image_size(data, path) == (89, 131)
    np.testing.assert_array_equal(decode_image(data, path), mmcv.imread(path))


@pytest.mark.parametrize('reduction', [2, 4, 8])
def test_reduced_decoding_averages_blocks(picture, tmp_path, reduction):
    smooth = cv2.GaussianBlur(picture, (0, 0), 6)
    path = _jpeg(smooth, tmp_path, quality=98, subsampling=0)
    found = decode_image(read_bytes(path), path, reduction).astype(float)
    assert found.shape == (-(-89 // reduction), -(-131 // reduction), 3)
    rows, columns = 80 // reduction, 128 // reduction  # whole blocks only
    blocks = smooth[:80, :128].reshape(rows, reduction, columns, reduction, 3).mean((1, 3))
    assert np.abs(found[:rows, :columns] - blocks).mean() < 2


@pytest.mark.parametrize(
    ('native', 'wanted', 'reduction'),
    [
        ((2848, 4288), (956, 1440), 2),
        ((2848, 4288), (1424, 2144), 2),
        ((2848, 4288), (1425, 2144), 1),
        ((2848, 4288), (712, 1072), 4),
        ((2848, 4288), (356, 536), 8),
        ((5, 7), (3, 4), 2),
        ((5, 7), (10, 14), 1),
        ((1, 1), (1, 1), 8),
    ],
)
def test_reduction_never_falls_short(native, wanted, reduction):
    assert choose_reduction(native, wanted) == reduction


@pytest.mark.parametrize('options', [{}, {'progressive': True}])
def test_every_truncation_is_noticed(picture, tmp_path, options):
    path = _jpeg(picture, tmp_path, **options)
    data = path.read_bytes()
    assert jpeg_is_complete(data)
    for kept in {1, 2, 3, 20, len(data) // 2, len(data) - 200, len(data) - 2, len(data) - 1}:
        assert not jpeg_is_complete(data[:kept]), kept
        padded = data[:kept] + bytes(len(data) - kept)  # a download that reserved its space
        assert not jpeg_is_complete(padded), kept


def test_bytes_behind_the_end_are_legal(picture, tmp_path):
    path = _jpeg(picture, tmp_path)
    data = path.read_bytes() + b'camera notes' * 20
    assert jpeg_is_complete(data)
    np.testing.assert_array_equal(decode_image(data, path), mmcv.imread(path))


def test_truncated_picture_with_a_whole_preview(picture, tmp_path):
    preview = _jpeg(picture[:40, :40], tmp_path).read_bytes()
    data = _jpeg(picture, tmp_path).read_bytes()
    segment = b'\xff\xe2' + (len(preview) + 2).to_bytes(2, 'big') + preview
    data = data[:2] + segment + data[2:]
    assert jpeg_is_complete(data)
    assert not jpeg_is_complete(data[:-40])


def test_truncated_jpeg_error(picture, tmp_path):
    path = _jpeg(picture, tmp_path)
    with pytest.raises(DataError, match=r'IDRiD_01\.jpg: expected a complete JPEG file, found a truncated one'):
        decode_image(path.read_bytes()[:-100], path)


def test_zero_bytes(tmp_path):
    path = tmp_path / 'IDRiD_01.jpg'
    path.touch()
    with pytest.raises(DataError, match='a file of zero bytes'):
        read_bytes(path)


def test_no_image(tmp_path):
    with pytest.raises(DataError, match='bytes that no decoder knows'):
        image_size(b'<html>not found</html>', 'x.jpg')


@pytest.mark.parametrize('suffix', ['.png', '.tif'])
def test_other_formats_are_exact_and_strict(picture, tmp_path, suffix):
    path = tmp_path / f'image{suffix}'
    Image.fromarray(np.ascontiguousarray(picture[..., ::-1])).save(path)
    data = read_bytes(path)
    np.testing.assert_array_equal(decode_image(data, path, reduction=4), picture)
    with pytest.raises(DataError, match='damaged'):
        decode_image(data[: len(data) // 2], path)


def test_orientation_tag_does_not_turn_the_picture(picture, tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    path = _jpeg(picture, tmp_path, exif=exif)
    assert decode_image(read_bytes(path), path).shape == picture.shape
