import tempfile

import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image

from mmseg_medical.datasets.errors import DataError
from mmseg_medical.datasets.mask_io import read_binary_mask, read_label_map
from mmseg_medical.datasets.phantoms.mask_encodings import ENCODINGS, write_mask

MASK = np.zeros((5, 7), bool)
MASK[1:3, 2:6] = True
MASK[4, 6] = True


@pytest.mark.parametrize('suffix', ['.tif', '.tiff', '.png'])
@pytest.mark.parametrize('encoding', ENCODINGS)
def test_every_encoding_gives_the_same_mask(tmp_path, encoding, suffix):
    path = tmp_path / f'mask{suffix}'
    write_mask(path, MASK, encoding)
    found = read_binary_mask(path, MASK.shape)
    assert found.dtype == bool
    np.testing.assert_array_equal(found, MASK)


@settings(max_examples=60, deadline=None)
@given(
    mask=hnp.arrays(bool, hnp.array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=13)),
    encoding=st.sampled_from(list(ENCODINGS)),
)
def test_encodings_agree_on_any_mask(mask, encoding):
    with tempfile.TemporaryDirectory() as folder:  # tmp_path would be shared by all examples
        write_mask(f'{folder}/mask.tif', mask, encoding)
        np.testing.assert_array_equal(read_binary_mask(f'{folder}/mask.tif'), mask)


@pytest.mark.parametrize('photometric', ['minisblack', 'miniswhite'])
def test_files_of_another_writer(tmp_path, photometric):
    path = tmp_path / 'mask.tif'
    stored = MASK if photometric == 'minisblack' else ~MASK
    tifffile.imwrite(path, stored.astype(np.uint8) * 255, photometric=photometric)
    np.testing.assert_array_equal(read_binary_mask(path), MASK)


def test_sixteen_bit_grey(tmp_path):
    path = tmp_path / 'mask.png'
    Image.fromarray(MASK.astype(np.uint16) * 65535).save(path)
    np.testing.assert_array_equal(read_binary_mask(path), MASK)


def test_palette_with_odd_indices_and_colours(tmp_path):
    path = tmp_path / 'mask.png'
    image = Image.fromarray(np.where(MASK, np.uint8(3), np.uint8(17))).convert('P')
    palette = np.full((256, 3), 200, np.uint8)  # colours of unused indices mean nothing
    palette[17], palette[3] = 0, (0, 0, 76)
    image.putpalette(palette.reshape(-1).tolist())
    image.save(path)
    np.testing.assert_array_equal(read_binary_mask(path), MASK)


def test_transparent_surroundings_are_background(tmp_path):
    path = tmp_path / 'mask.png'
    pixels = np.zeros((*MASK.shape, 4), np.uint8)
    pixels[..., 0] = 255  # the colour behind full transparency is invisible
    pixels[..., 3] = MASK * 255
    Image.fromarray(pixels).save(path)
    np.testing.assert_array_equal(read_binary_mask(path), MASK)


@pytest.mark.parametrize('mode', ['L', 'RGB', 'RGBA', '1'])
def test_black_is_empty(tmp_path, mode):
    path = tmp_path / 'mask.tif'
    Image.new(mode, (7, 5), (0, 0, 0, 255)[: len(mode)] if mode.startswith('RGB') else 0).save(path)
    assert not read_binary_mask(path).any()


def test_full_mask(tmp_path):
    path = tmp_path / 'mask.tif'
    write_mask(path, np.ones((1, 1), bool), 'grey 0/255')
    assert read_binary_mask(path).all()


def _grey_levels():
    return Image.fromarray(np.arange(35, dtype=np.uint8).reshape(5, 7))


def _neither_is_black():
    return Image.fromarray(np.where(MASK, np.uint8(255), np.uint8(76)))


def _palette_without_black():
    image = Image.fromarray(MASK.astype(np.uint8)).convert('P')
    image.putpalette([255, 255, 255, 255, 0, 0])
    return image


def _palette_of_one_colour():
    image = Image.fromarray(MASK.astype(np.uint8)).convert('P')
    image.putpalette([0, 0, 0, 0, 0, 0])
    return image


def _half_transparent():
    pixels = np.full((5, 7, 4), 128, np.uint8)
    return Image.fromarray(pixels)


def _black_on_transparent():
    pixels = np.zeros((5, 7, 4), np.uint8)
    pixels[..., 3] = MASK * 255
    return Image.fromarray(pixels)


@pytest.mark.parametrize(
    ('make', 'found'),
    [
        (_grey_levels, '35 colours or levels: 0, 1, 2'),
        (_neither_is_black, '76, 255'),
        (_palette_without_black, '#ff0000, #ffffff'),
        (_palette_of_one_colour, 'indices 0, 1 with one colour'),
        (_half_transparent, 'partly transparent'),
        (_black_on_transparent, 'nothing but black'),
        (lambda: Image.new('CMYK', (7, 5)), 'mode CMYK'),
    ],
)
def test_pictures_that_are_no_binary_mask(tmp_path, make, found):
    path = tmp_path / 'IDRiD_01_EX.tif'
    make().save(path)
    with pytest.raises(DataError, match=found) as error:
        read_binary_mask(path)
    assert str(path) in str(error.value)
    assert 'losslessly' in str(error.value)


def test_jpeg_compressed_mask(tmp_path):
    path = tmp_path / 'mask.jpg'
    mask = np.zeros((40, 40), np.uint8)
    mask[7:23, 9:31] = 255
    Image.fromarray(mask).save(path, quality=60)
    with pytest.raises(DataError, match='colours or levels'):
        read_binary_mask(path)


def test_another_size(tmp_path):
    path = tmp_path / 'mask.tif'
    write_mask(path, MASK, '1-bit')
    with pytest.raises(DataError, match=r'expected 7 x 5 pixels .* found 5 x 7.*same release'):
        read_binary_mask(path, (7, 5))


@pytest.mark.parametrize('kept', [0, 3, 60])
def test_damaged_file(tmp_path, kept):
    path = tmp_path / 'mask.tif'
    rng = np.random.default_rng(0)
    write_mask(path, rng.random((64, 64)) > 0.5, '1-bit')
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(DataError, match=r'mask\.tif.*download'):
        read_binary_mask(path)


def test_truncated_pixels(tmp_path):
    path = tmp_path / 'mask.png'
    write_mask(path, np.random.default_rng(0).random((200, 200)) > 0.5, 'grey 0/255')
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    with pytest.raises(DataError, match='cannot be decoded'):
        read_binary_mask(path)


def test_missing_file(tmp_path):
    with pytest.raises(DataError, match=r'none\.tif: expected a readable file, found No such file'):
        read_binary_mask(tmp_path / 'none.tif')


def test_several_pages(tmp_path):
    path = tmp_path / 'mask.tif'
    tifffile.imwrite(path, np.zeros((2, 5, 7), np.uint8), photometric='minisblack')
    with pytest.raises(DataError, match='expected one page, found 2 pages'):
        read_binary_mask(path)


def test_preview_page_is_ignored(tmp_path):
    path = tmp_path / 'mask.tif'
    with tifffile.TiffWriter(path) as writer:
        writer.write(MASK.astype(np.uint8), photometric='minisblack')
        writer.write(np.arange(6, dtype=np.uint8).reshape(2, 3), photometric='minisblack')
    np.testing.assert_array_equal(read_binary_mask(path), MASK)


def test_label_map(tmp_path):
    path = tmp_path / 'label.png'
    labels = np.array([[0, 1, 2], [3, 4, 255]], np.uint8)
    Image.fromarray(labels).save(path)
    np.testing.assert_array_equal(read_label_map(path, (2, 3)), labels)
    image = Image.fromarray(labels).convert('P')
    image.putdata(labels.reshape(-1).tolist())
    image.putpalette([9, 8, 7] * 256)
    image.save(path)
    np.testing.assert_array_equal(read_label_map(path), labels)  # indices count, whatever the palette shows


def test_label_outside_the_class_range(tmp_path):
    path = tmp_path / 'label.png'
    Image.fromarray(np.array([[0, 5, 76]], np.uint8)).save(path)
    with pytest.raises(DataError, match=r'label\.png: expected labels below 5, found values 5, 76'):
        read_label_map(path)


def test_label_map_with_channels(tmp_path):
    path = tmp_path / 'label.png'
    Image.new('RGB', (3, 2)).save(path)
    with pytest.raises(DataError, match='mode RGB'):
        read_label_map(path)
