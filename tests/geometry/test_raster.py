"""PNG, BMP and TIFF."""

import struct
import zlib

import numpy as np
import pytest
import SimpleITK
import tifffile
from PIL import Image

from mmseg_medical.geometry import Volume, read_volume, write_volume


def array(shape=(5, 7), dtype='uint8', top=200):
    return np.random.default_rng(0).integers(0, top, shape).astype(dtype)


def chunk(kind, content):
    return struct.pack('>I', len(content)) + kind + content + struct.pack('>I', zlib.crc32(kind + content))


def png(width, height, depth, colour_type, rows):
    header = struct.pack('>IIBBBBB', width, height, depth, colour_type, 0, 0, 0)
    return b'\x89PNG\r\n\x1a\n' + chunk(b'IHDR', header) + chunk(b'IDAT', zlib.compress(rows)) + chunk(b'IEND', b'')


@pytest.mark.parametrize(
    ('name', 'dtype'),
    [
        ('a.png', 'uint8'),
        ('a.PNG', 'uint16'),
        ('a.tif', 'uint8'),
        ('a.tiff', 'uint16'),
        ('a.tif', 'int32'),
        ('a.tif', 'float32'),
    ],
)
@pytest.mark.parametrize('order', ['=', '>'])
def test_grey(tmp_path, name, dtype, order):
    top = {'uint8': 256, 'uint16': 65536}.get(dtype, 1 << 30)
    values = array(dtype=np.dtype(dtype).newbyteorder(order), top=top)
    write_volume(Volume(values, None), tmp_path / name)
    read = read_volume(tmp_path / name)
    assert (read.array.dtype, read.affine, read.has_channels) == (np.dtype(dtype), None, False)
    assert read.source == str(tmp_path / name)
    np.testing.assert_array_equal(read.array, values)
    read.array[0, 0] = 1


@pytest.mark.parametrize('dtype', ['uint8', 'uint16', 'int32', 'float32'])
def test_pages_are_the_last_axis(tmp_path, dtype):
    values = array((5, 7, 3), dtype)
    write_volume(Volume(values, None), tmp_path / 'a.tif')
    read = read_volume(tmp_path / 'a.tif')
    assert (read.rank, read.size) == (3, (5, 7, 3))
    np.testing.assert_array_equal(read.array, values)
    other = SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(str(tmp_path / 'a.tif')))
    np.testing.assert_array_equal(other, values.transpose(2, 0, 1))


@pytest.mark.parametrize('compression', [None, 'zlib'])
@pytest.mark.parametrize('dtype', ['uint8', 'uint16', '>u2', 'float32'])
def test_tiff_of_others(tmp_path, compression, dtype):
    values = array((4, 5, 7), dtype)
    order = '>' if dtype.startswith('>') else '<'
    tifffile.imwrite(tmp_path / 'a.tif', values, compression=compression, photometric='minisblack', byteorder=order)
    read = read_volume(tmp_path / 'a.tif')
    assert read.array.dtype.isnative
    np.testing.assert_array_equal(read.array, values.transpose(1, 2, 0))


@pytest.mark.parametrize('compression', ['tiff_lzw', 'packbits'])
def test_other_compressions(tmp_path, compression):
    Image.fromarray(array()).save(tmp_path / 'a.tif', compression=compression)
    np.testing.assert_array_equal(read_volume(tmp_path / 'a.tif').array, array())


@pytest.mark.parametrize('name', ['a.png', 'a.tif'])
@pytest.mark.parametrize('view', [lambda a: a[::-1], lambda a: a.T, lambda a: a[:, ::2], lambda a: a > 90])
def test_views(tmp_path, name, view):
    write_volume(Volume(view(array()), None), tmp_path / name)
    np.testing.assert_array_equal(read_volume(tmp_path / name).array, view(array()))


@pytest.mark.parametrize('name', ['a.png', 'a.tif'])
@pytest.mark.parametrize('channels', [3, 4])
def test_colours(tmp_path, name, channels):
    values = array((5, 7, channels))
    write_volume(Volume(values, None, has_channels=True), tmp_path / name)
    read = read_volume(tmp_path / name)
    assert (read.has_channels, read.rank, read.size) == (True, 2, (5, 7))
    np.testing.assert_array_equal(read.array, values)


@pytest.mark.parametrize('name', ['a.png', 'a.bmp', 'a.tif'])
def test_palette_gives_indices(tmp_path, name):
    image = Image.fromarray(array(top=4), 'P')
    image.putpalette([9, 9, 9, 200, 0, 0, 0, 200, 0, 7, 7, 7])
    image.save(tmp_path / name)
    read = read_volume(tmp_path / name)
    assert not read.has_channels
    np.testing.assert_array_equal(read.array, array(top=4))


@pytest.mark.parametrize('name', ['a.png', 'a.bmp', 'a.tif'])
def test_one_bit(tmp_path, name):
    Image.fromarray(array(top=2).astype(bool)).save(tmp_path / name)
    read = read_volume(tmp_path / name)
    np.testing.assert_array_equal(read.array.astype(bool), array(top=2).astype(bool))


def test_bmp_of_grey_values(tmp_path):
    Image.fromarray(array()).save(tmp_path / 'a.bmp')
    np.testing.assert_array_equal(read_volume(tmp_path / 'a.bmp').array, array())


@pytest.mark.parametrize(('depth', 'row', 'labels'), [(2, b'\x1b', [0, 1, 2, 3]), (4, b'\x01\x2f', [0, 1, 2, 15])])
def test_few_bits_are_the_labels(tmp_path, depth, row, labels):
    (tmp_path / 'a.png').write_bytes(png(4, 1, depth, 0, b'\x00' + row))
    assert read_volume(tmp_path / 'a.png').array.tolist() == [labels]


def test_no_conversion_of_eight_bits(tmp_path):
    values = np.arange(256, dtype=np.uint8).reshape(16, 16)
    write_volume(Volume(values, None), tmp_path / 'a.png')
    np.testing.assert_array_equal(read_volume(tmp_path / 'a.png').array, values)


@pytest.mark.parametrize('name', ['a.png', 'a.tif', 'a.bmp'])
@pytest.mark.parametrize('keep', [1, 20, 60, -40])
def test_truncated(tmp_path, name, keep):
    Image.fromarray(array((50, 70), top=256)).save(tmp_path / name)
    (tmp_path / name).write_bytes((tmp_path / name).read_bytes()[:keep])
    with pytest.raises(ValueError, match=rf'{name}: expected .*, found .*\. Copy or download the file again'):
        read_volume(tmp_path / name)


def test_one_format_in_the_clothes_of_another(tmp_path):
    Image.fromarray(array()).save(tmp_path / 'a.jpg')
    (tmp_path / 'a.jpg').rename(tmp_path / 'a.png')
    with pytest.raises(ValueError, match=r'a\.png: expected a PNG file, found bytes of something else'):
        read_volume(tmp_path / 'a.png')


def test_absurd_sizes(tmp_path):
    (tmp_path / 'a.png').write_bytes(png(12000, 12000, 8, 0, bytes(100)))
    with pytest.raises(ValueError, match=r'a\.png: expected 144000000 bytes of voxels as its header says'):
        read_volume(tmp_path / 'a.png')
    (tmp_path / 'a.png').write_bytes(png(100000, 100000, 8, 0, bytes(100)))
    with pytest.raises(ValueError, match=r'a\.png: expected at most 178 million pixels'):
        read_volume(tmp_path / 'a.png')


def test_an_empty_picture_may_be_packed_well(tmp_path):
    write_volume(Volume(np.zeros((4000, 4000), bool), None), tmp_path / 'a.png')
    Image.fromarray(np.zeros((4000, 4000), bool)).save(tmp_path / 'b.png', compress_level=9)
    for name in ('a.png', 'b.png'):
        assert not read_volume(tmp_path / name).array.any()


def test_pages_of_different_sizes(tmp_path):
    with tifffile.TiffWriter(tmp_path / 'a.tif') as writer:
        writer.write(array((5, 7)), photometric='minisblack')
        writer.write(array((5, 8)), photometric='minisblack')
    message = r'a\.tif: expected pages of one kind and size \(L, 7 x 5 pixels\), found page 2 of 2 with L, 8 x 5'
    with pytest.raises(ValueError, match=message):
        read_volume(tmp_path / 'a.tif')


def test_modes_that_are_no_image_of_ours(tmp_path):
    Image.fromarray(array((5, 7, 3))).convert('CMYK').save(tmp_path / 'a.tif')
    with pytest.raises(ValueError, match=r'a\.tif: expected grey values, palette indices or RGB, found mode CMYK'):
        read_volume(tmp_path / 'a.tif')


@pytest.mark.parametrize(
    ('name', 'values', 'channels', 'message'),
    [
        ('a.png', array(dtype='int32'), False, 'PNG holds uint8 or uint16 here, got int32'),
        ('a.tif', array(dtype='float64'), False, 'TIFF holds uint8 or uint16 or int32 or float32 here, got float64'),
        ('a.png', array((5, 7, 3)), False, r'PNG holds two axes, got \(5, 7, 3\)'),
        ('a.png', array((5, 7, 2)), True, 'PNG holds three or four channels here, got 2'),
        ('a.tif', array((5, 7, 3), 'uint16'), True, 'TIFF holds uint8 here, got uint16'),
        ('a.bmp', array(), False, r"expected a name ending in \.nii\.gz, .*, found '\.bmp'"),
    ],
)
def test_what_the_formats_cannot_hold(tmp_path, name, values, channels, message):
    with pytest.raises(ValueError, match=f'{name}: {message}'):
        write_volume(Volume(values, None, has_channels=channels), tmp_path / name)
    assert not list(tmp_path.iterdir())
