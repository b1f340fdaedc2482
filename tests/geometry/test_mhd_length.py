"""Data of MHD and MHA files that are not as long as the header says; ITK would read a part, or noise."""

from __future__ import annotations

import gzip
import zlib

import numpy as np
import pytest

from mmseg_medical.geometry import Volume, read_volume, write_volume
from mmseg_medical.geometry.errors import inflated_size

pytest.importorskip('SimpleITK')
HEADER = 'ObjectType = Image\nNDims = 3\nBinaryData = True\nDimSize = 3 4 5\n'
ARRAY = np.arange(60, dtype=np.int16).reshape(5, 4, 3)


def write(folder, data, lines='', kind='MET_SHORT', name='a.raw'):
    (folder / 'a.mhd').write_text(f'{HEADER}{lines}ElementType = {kind}\nElementDataFile = {name}\n')
    (folder / name).write_bytes(data)
    return folder / 'a.mhd'


def test_exact_ones_are_read(tmp_path):
    plain = read_volume(write(tmp_path, ARRAY.tobytes())).array
    np.testing.assert_array_equal(plain, ARRAY.transpose(2, 1, 0))
    offset = read_volume(write(tmp_path, b'12345' + ARRAY.tobytes(), 'HeaderSize = 5\n')).array
    np.testing.assert_array_equal(offset, plain)
    from_behind = read_volume(write(tmp_path, b'1234567' + ARRAY.tobytes(), 'HeaderSize = -1\n')).array
    np.testing.assert_array_equal(from_behind, plain)
    packed = zlib.compress(ARRAY.tobytes())
    lines = f'CompressedData = True\nCompressedDataSize = {len(packed)}\n'
    np.testing.assert_array_equal(read_volume(write(tmp_path, packed, lines, name='a.zraw')).array, plain)


@pytest.mark.parametrize('suffix', ['.mha', '.mhd'])
def test_own_files_are_exact(tmp_path, suffix):
    volume = Volume(np.arange(60, dtype=np.uint16).reshape(3, 4, 5), np.eye(4))
    write_volume(volume, tmp_path / f'a{suffix}')
    np.testing.assert_array_equal(read_volume(tmp_path / f'a{suffix}').array, volume.array)


@pytest.mark.parametrize(
    ('data', 'options', 'message'),
    [
        (ARRAY.tobytes() + b'1', {}, r'not compressed, ElementType MET_SHORT, DimSize 3 4 5\), found 121'),
        (ARRAY.tobytes(), dict(kind='MET_UCHAR'), 'expected 60 bytes of voxels.*found 120'),
        (ARRAY.tobytes(), dict(lines='HeaderSize = 2\n'), 'found 118'),
        (ARRAY.tobytes(), dict(lines='CompressedData = True\n'), 'found 0 that can be unpacked'),
        (zlib.compress(ARRAY.tobytes())[:-6], dict(lines='CompressedData = True\n'), r'found \d+ that can be'),
        (zlib.compress(ARRAY.tobytes() + b'1'), dict(lines='CompressedData = True\n'), 'found more than 120'),
    ],
)
def test_others_are_refused(tmp_path, data, options, message):
    with pytest.raises(ValueError, match=message):
        read_volume(write(tmp_path, data, **options))


def test_counting_what_can_be_unpacked(tmp_path):
    path = tmp_path / 'stream'
    content = np.random.default_rng(0).bytes(3_000_000)
    for pack in (zlib.compress, gzip.compress):
        path.write_bytes(b'head' + pack(content))
        assert inflated_size(path, 4, len(content)) == len(content)
        assert inflated_size(path, 4, 10) > 10
        assert inflated_size(path, 0, len(content)) == 0
        path.write_bytes(pack(content)[:-1])  # all of the content, but its checksum is not whole
        assert inflated_size(path, 0, len(content)) == len(content) - 1
    path.write_bytes(zlib.compress(b'0' * 50_000_000))  # much from little is not kept in memory
    assert inflated_size(path, 0, 50_000_000) == 50_000_000
    path.write_bytes(b'')
    assert inflated_size(path, 0, 5) == 0
