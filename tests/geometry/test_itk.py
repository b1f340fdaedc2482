"""NRRD, MHD and MHA from file to file."""

import nibabel
import numpy as np
import pytest
import SimpleITK
from affines import orientations, sheared, tilted

from mmseg_medical.geometry import Volume, grid_difference, read_volume, write_volume

NAMES = ['a.nrrd', 'a.mhd', 'a.mha']
DTYPES = ['uint8', 'int8', 'uint16', 'int16', 'uint32', 'int32', 'uint64', 'int64', 'float32', 'float64']
META = """ObjectType = Image
NDims = 3
BinaryData = True
BinaryDataByteOrderMSB = {msb}
CompressedData = False
TransformMatrix = {matrix}
Offset = {offset}
ElementSpacing = {spacing}
DimSize = {size}
ElementType = MET_SHORT
ElementDataFile = {file}
"""
DEFAULTS = dict(
    msb='False',
    matrix='1 0 0 0 1 0 0 0 1',
    offset='-195 -195 -378',
    spacing='0.7617 0.7617 2.5',
    size='3 5 7',
    file='a.raw',
)
NRRD = (
    'NRRD0004\ntype: short\ndimension: 3\nspace: right-anterior-superior\nsizes: 3 5 7\n'
    'space directions: (2,0,0) (0,3,0) (0,0,4)\nendian: little\nencoding: {}\nspace origin: (5,6,7)\n\n'
)


def array(shape=(3, 5, 7), dtype='int16'):
    return np.random.default_rng(0).integers(0, 100, shape).astype(dtype)


def write_meta(folder, data=None, **fields):
    (folder / 'a.raw').write_bytes((array().astype('<i2') if data is None else data).tobytes(order='F'))
    (folder / 'a.mhd').write_text(META.format(**{**DEFAULTS, **fields}))
    return folder / 'a.mhd'


@pytest.mark.parametrize('name', [*NAMES, 'A.NRRD'])
@pytest.mark.parametrize('dtype', DTYPES)
def test_types_stay(tmp_path, name, dtype):
    written = Volume(array(dtype=dtype), tilted())
    write_volume(written, tmp_path / name)
    read = read_volume(tmp_path / name)
    assert (read.array.dtype, read.source, read.has_channels) == (np.dtype(dtype), str(tmp_path / name), False)
    np.testing.assert_array_equal(read.array, written.array)
    np.testing.assert_allclose(read.affine, written.affine, atol=1e-12)


@pytest.mark.parametrize('name', NAMES)
def test_every_orientation(tmp_path, name):
    for affine in orientations():
        write_volume(Volume(array(), affine), tmp_path / name)
        read = read_volume(tmp_path / name)
        np.testing.assert_allclose(read.affine @ (2, 4, 6, 1), affine @ (2, 4, 6, 1), atol=1e-12)
        assert read.array[2, 4, 6] == array()[2, 4, 6]


def test_one_world_for_itk_and_nifti(tmp_path):
    for affine in orientations()[::5]:
        write_volume(Volume(array(), affine), tmp_path / 'a.nii')
        image = SimpleITK.ReadImage(str(tmp_path / 'a.nii'))  # ITK's own way from NIfTI
        for name in NAMES:
            SimpleITK.WriteImage(image, str(tmp_path / name))
            read = read_volume(tmp_path / name)
            assert grid_difference(read, read_volume(tmp_path / 'a.nii'), tolerance_mm=1e-4) is None
            np.testing.assert_array_equal(read.array, nibabel.load(tmp_path / 'a.nii').get_fdata())


@pytest.mark.parametrize('name', NAMES)
@pytest.mark.filterwarnings('ignore:.* from right angles')
def test_directions_that_are_not_orthogonal(tmp_path, name):
    write_volume(Volume(array(), sheared()), tmp_path / name)
    np.testing.assert_allclose(read_volume(tmp_path / name).affine, sheared(), atol=1e-12)


@pytest.mark.parametrize('name', NAMES)
def test_planes(tmp_path, name):
    affine = np.array([[0, 2.0, 0, 5], [3, 0, 0, 6], [0, 0, 1, 0], [0, 0, 0, 1]])
    write_volume(Volume(array((3, 5)), affine), tmp_path / name)
    read = read_volume(tmp_path / name)
    np.testing.assert_array_equal(read.array, array((3, 5)))
    np.testing.assert_allclose(read.affine, affine, atol=1e-12)
    assert read.spacing_mm == (3, 2)
    affine[2, 3] = 1
    with pytest.raises(ValueError, match=f'{name}: a 2D file holds no tilted or shifted plane'):
        write_volume(Volume(array((3, 5)), affine), tmp_path / name)


@pytest.mark.parametrize('name', NAMES)
@pytest.mark.parametrize('shape', [(3, 5, 7, 2), (3, 5, 2)])
def test_channels(tmp_path, name, shape):
    write_volume(Volume(array(shape), np.diag([2, 3, 1, 1]), has_channels=True), tmp_path / name)
    read = read_volume(tmp_path / name)
    assert read.has_channels
    assert read.spacing_mm == (2, 3, 1)[: read.rank]
    np.testing.assert_array_equal(read.array, array(shape))


@pytest.mark.parametrize('name', NAMES)
def test_times(tmp_path, name):
    image = SimpleITK.GetImageFromArray(array((4, 7, 5, 3)), isVector=False)
    image.SetSpacing((2, 3, 4, 9))
    SimpleITK.WriteImage(image, str(tmp_path / name))
    read = read_volume(tmp_path / name)
    assert read.has_channels
    assert read.spacing_mm == (2, 3, 4)
    np.testing.assert_array_equal(read.array, array((4, 7, 5, 3)).transpose(3, 2, 1, 0))


@pytest.mark.parametrize('name', NAMES)
@pytest.mark.parametrize(
    'view', [lambda a: a[::-1], lambda a: a.transpose(2, 0, 1), lambda a: a[:, ::2], lambda a: a > 3]
)
def test_views(tmp_path, name, view):
    write_volume(Volume(view(array()), np.eye(4)), tmp_path / name)
    np.testing.assert_array_equal(read_volume(tmp_path / name).array, view(array()))


def test_files_that_are_written(tmp_path):
    for name in NAMES:
        for _ in range(2):  # the second time over the first
            write_volume(Volume(array(), np.eye(4)), tmp_path / 'new' / name)
    assert sorted(path.name for path in (tmp_path / 'new').iterdir()) == ['a.mha', 'a.mhd', 'a.nrrd', 'a.zraw']


def test_mhd_with_raw_as_luna_has_it(tmp_path):
    read = read_volume(write_meta(tmp_path))
    np.testing.assert_array_equal(read.array, array())
    expected = [[-0.7617, 0, 0, 195], [0, -0.7617, 0, 195], [0, 0, 2.5, -378], [0, 0, 0, 1]]
    np.testing.assert_allclose(read.affine, expected, atol=1e-12)


def test_header_without_a_last_newline(tmp_path):
    path = write_meta(tmp_path)
    path.write_text(path.read_text().rstrip())
    np.testing.assert_array_equal(read_volume(path).array, array())


def test_big_endian(tmp_path):
    read = read_volume(write_meta(tmp_path, array().astype('>i2'), msb='True'))
    assert read.array.dtype.isnative
    np.testing.assert_array_equal(read.array, array())


def test_rotation_of_a_meta_header(tmp_path):
    # the matrix lists the direction of x, then of y, then of z, in LPS
    read = read_volume(write_meta(tmp_path, matrix='0 1 0 -1 0 0 0 0 1', spacing='2 3 4', offset='1 2 3'))
    np.testing.assert_allclose(read.affine, [[0, 3, 0, -1], [-2, 0, 0, -2], [0, 0, 4, 3], [0, 0, 0, 1]], atol=1e-12)


def test_nrrd_in_ras_and_as_text(tmp_path):
    (tmp_path / 'a.nrrd').write_bytes(NRRD.format('raw').encode() + array().astype('<i2').tobytes(order='F'))
    text = ' '.join(map(str, array().ravel(order='F')))
    (tmp_path / 'b.nrrd').write_bytes(NRRD.format('ascii').encode() + text.encode() + b'\n')
    for name in ('a.nrrd', 'b.nrrd'):
        read = read_volume(tmp_path / name)
        np.testing.assert_allclose(read.affine, [[2, 0, 0, 5], [0, 3, 0, 6], [0, 0, 4, 7], [0, 0, 0, 1]], atol=1e-12)
        np.testing.assert_array_equal(read.array, array())


@pytest.mark.parametrize(
    ('fields', 'message'),
    [
        (dict(spacing='0 1 1'), r'expected a positive spacing, found \[0\.0, 1\.0, 1\.0\] mm in its header'),
        (dict(spacing='1 -1 1'), r'expected a positive spacing, found \[1\.0, -1\.0, 1\.0\]'),
        (dict(matrix='1 0 0 1 0 0 0 0 1'), 'the image file|refuses|singular'),
        (
            dict(size='3 5 8'),
            r'expected 240 bytes of voxels as its header says \(size \(3, 5, 8\), 2 bytes each\), found 210',
        ),
        (dict(size='500000 500000 500000'), 'expected 250000000000000000 bytes'),
        (dict(size='3 0 7'), r'expected integers in 1\.\.2147483647, found DimSize'),
        (dict(size='3 5'), r"expected 3 positive integers, found DimSize '3 5'"),
        (dict(size='3 5 7 9'), 'expected 3 positive integers'),
        (dict(size='3 5 x'), 'expected 3 positive integers'),
        (dict(spacing='1 1 nan'), "expected 3 numbers, found ElementSpacing '1 1 nan'"),
        (dict(spacing='1 1 one'), 'expected 3 numbers'),
        (dict(offset='1 1'), "expected 3 numbers, found Offset '1 1'"),
        (dict(matrix='1 0 0'), 'expected 9 numbers, found TransformMatrix'),
        (dict(msb='False\nNDims = 9'), "each once, found 'NDims = 9'"),
        (dict(msb='False\nodd line'), "expected lines of keys and values, each once, found 'odd line'"),
        (dict(msb='False\nName = \x01'), 'expected lines of keys and values'),
        (dict(msb='False\nElementNumberOfChannels = 0'), 'expected integers in 1'),
        (dict(msb='False\nHeaderSize = x'), "expected an integer, found HeaderSize 'x'"),
        (dict(msb='False\nCompressedDataSize = 1e3'), 'expected an integer, found CompressedDataSize'),
        (dict(file='b.raw'), r'expected its data file b\.raw, found none of this name'),
        (dict(file='LIST\na.raw'), 'expected voxels in one file, found a list of files'),
        (dict(file='a%d.raw 1 7 1'), 'expected voxels in one file, found a list of files'),
    ],
)
def test_damaged_meta_headers(tmp_path, fields, message):
    with pytest.raises(ValueError, match=r'a\.mhd: .*(' + message + ')'):
        read_volume(write_meta(tmp_path, **fields))


@pytest.mark.parametrize(
    ('old', 'new', 'message'),
    [
        ('NDims = 3', 'NDims = 5', "expected integers in 1..4, found NDims '5'"),
        ('NDims = 3', 'NDims = 1', "expected two to four axes, found NDims '1'"),
        ('NDims = 3', 'Comment = 3', r'expected 1 positive integers, found none in its header \(NDims\)'),
        ('MET_SHORT', 'MET_FOO', "expected a known type of voxels, found ElementType 'MET_FOO'"),
        ('BinaryData = True', 'BinaryData = False', "expected binary data, found BinaryData 'False'"),
        ('ElementDataFile', 'DataFile', 'expected an image header, found bytes of something else'),
    ],
)
def test_other_meta_headers(tmp_path, old, new, message):
    path = write_meta(tmp_path)
    path.write_text(path.read_text().replace(old, new))
    with pytest.raises(ValueError, match=rf'a\.mhd: {message}'):
        read_volume(path)


@pytest.mark.parametrize(
    ('old', 'new', 'message'),
    [
        ('dimension: 3', 'dimension: 5', "expected integers in 1..4, found dimension '5'"),
        ('dimension: 3', 'dimension: 1', "expected two to four axes, found dimension '1'"),
        ('sizes: 3 5 7', 'sizes: 3 5', "expected 3 positive integers, found sizes '3 5'"),
        ('sizes: 3 5 7', 'sizes: 3 5 8', r'expected 240 bytes of voxels as its header says \(size \(3, 5, 8\)'),
        ('type: short', 'type: block', "expected a known type of voxels, found type 'block'"),
        ('encoding: raw', 'encoding: zip', "expected raw, text, gzip or bzip2, found encoding 'zip'"),
        ('(0,3,0) ', '', 'expected 3 vectors of one length, found space directions'),
        ('(0,3,0)', '(0,3)', 'expected 3 vectors of one length, found space directions'),
        ('(0,3,0)', '(0,0,0)', r'expected a (positive spacing|complete image file), found'),
        ('endian', 'spacings: 1 2\nendian', "expected 3 numbers, found spacings '1 2'"),
        ('endian', 'data file: b.raw\nendian', r'expected its data file b\.raw, found none of this name'),
        ('endian', 'sizes: 3 5 7\nendian', "expected lines of keys and values, each once, found 'sizes: 3 5 7'"),
        ('endian', 'space units: "um" "um" "um"\nendian', 'expected millimetres, found space units'),
        ('NRRD0004', 'NRRD', 'expected an image header'),
    ],
)
def test_nrrd_headers(tmp_path, old, new, message):
    header = NRRD.format('raw').replace(old, new)
    (tmp_path / 'a.nrrd').write_bytes(header.encode() + array().astype('<i2').tobytes(order='F'))
    with pytest.raises(ValueError, match=rf'a\.nrrd: {message}'):
        read_volume(tmp_path / 'a.nrrd')


def test_notes_of_programs_in_nrrd(tmp_path):
    notes = '# a comment\ncontent: CT: chest\nSegment0_Name:=Läsion ß: one\ndim[0]:=3\nsizes:=9\n'
    notes += 'space units: "mm" "mm" "mm"\n'
    header = NRRD.format('raw').replace('endian', notes + 'endian')
    (tmp_path / 'a.nrrd').write_bytes(header.encode() + array().astype('<i2').tobytes(order='F'))
    np.testing.assert_array_equal(read_volume(tmp_path / 'a.nrrd').array, array())


def test_nrrd_with_data_elsewhere(tmp_path):
    header = NRRD.format('raw').replace('endian', 'data file: a.raw\nendian')
    (tmp_path / 'a.nrrd').write_text(header)
    (tmp_path / 'a.raw').write_bytes(array().astype('<i2').tobytes(order='F'))
    np.testing.assert_array_equal(read_volume(tmp_path / 'a.nrrd').array, array())


@pytest.mark.parametrize('name', NAMES)
@pytest.mark.parametrize('compressed', [False, True])
def test_truncated(tmp_path, name, compressed):
    SimpleITK.WriteImage(SimpleITK.GetImageFromArray(array()), str(tmp_path / name), compressed)
    data = tmp_path / {'a.mhd': 'a.zraw' if compressed else 'a.raw'}.get(name, name)
    data.write_bytes(data.read_bytes()[:-40])
    with pytest.raises(ValueError, match=f'{name}: expected .*, found .*Copy or download the file again'):
        read_volume(tmp_path / name)


@pytest.mark.parametrize('name', ['a.nrrd', 'a.mha'])
def test_claims_beyond_what_a_compressed_file_can_hold(tmp_path, name):
    write_volume(Volume(array(), np.eye(4)), tmp_path / name)
    content = (tmp_path / name).read_bytes()
    claim = content.replace(b'DimSize = 3 5 7', b'DimSize = 30000 50000 7').replace(
        b'sizes: 3 5 7', b'sizes: 30000 50000 7'
    )
    (tmp_path / name).write_bytes(claim)
    with pytest.raises(ValueError, match='bytes of compressed data, which cannot hold them'):
        read_volume(tmp_path / name)


@pytest.mark.parametrize('name', NAMES)
def test_something_else(tmp_path, name):
    (tmp_path / name).write_bytes(b'GIF89a' + bytes(500))
    with pytest.raises(ValueError, match=f'{name}: expected an image header, found bytes of something else'):
        read_volume(tmp_path / name)


def test_numbers_that_no_image_has(tmp_path):
    header = b'NRRD0004\ntype: {}\ndimension: 4\nsizes: 2 3 5 7\nkinds: complex domain domain domain\nendian: little\n'
    (tmp_path / 'a.nrrd').write_bytes(header.replace(b'{}', b'float') + b'encoding: raw\n\n' + bytes(840))
    with pytest.raises(ValueError, match=r'a\.nrrd: expected one or several real numbers a voxel, found complex64'):
        read_volume(tmp_path / 'a.nrrd')


@pytest.mark.parametrize('name', NAMES)
@pytest.mark.parametrize('dtype', ['float16', 'complex64'])
def test_types_that_are_refused(tmp_path, name, dtype):
    with pytest.raises(ValueError, match=rf'{name}: {name[1:]} files cannot hold {dtype}'):
        write_volume(Volume(np.zeros((2, 3), dtype), np.eye(4)), tmp_path / name)
    assert not list(tmp_path.iterdir())
