"""NIfTI from file to file, with headers as they should not be."""

import gzip
import hashlib
import resource

import nibabel
import numpy as np
import pytest
from affines import orientations, sheared, tilted

from mmseg_medical.geometry import Volume, read_volume, write_volume

DTYPES = ['uint8', 'int8', 'uint16', 'int16', 'uint32', 'int32', 'uint64', 'int64', 'float32', 'float64', 'complex64']
# places in the header
QFORM_CODE, SROW_Y = 252, 296


def array(shape=(3, 5, 7), dtype='int16', seed=0):
    return np.random.default_rng(seed).integers(0, 100, shape).astype(dtype)


def write_with_nibabel(path, data, affine, header=None):
    image = nibabel.Nifti1Image(data, affine, header, dtype=data.dtype)
    path.write_bytes(image.to_bytes() if path.suffix != '.gz' else gzip.compress(image.to_bytes()))
    return path


def patched(path, offset, value):
    content = bytearray(path.read_bytes())
    content[offset : offset + len(value)] = value
    path.write_bytes(content)
    return path


@pytest.mark.parametrize('name', ['a.nii', 'a.nii.gz', 'A.NII.GZ'])
@pytest.mark.parametrize('dtype', DTYPES)
def test_types_stay(tmp_path, name, dtype):
    written = Volume(array(dtype=dtype), tilted())
    write_volume(written, tmp_path / name)
    read = read_volume(tmp_path / name)
    assert (read.array.dtype, read.size, read.source) == (np.dtype(dtype), (3, 5, 7), str(tmp_path / name))
    np.testing.assert_array_equal(read.array, written.array)
    np.testing.assert_allclose(read.affine, written.affine, atol=1e-6)
    read.array[0, 0, 0] = 1  # nobody else's memory


def test_every_orientation(tmp_path):
    for affine in orientations():
        write_volume(Volume(array(), affine), tmp_path / 'a.nii')
        read = read_volume(tmp_path / 'a.nii')
        np.testing.assert_array_equal(read.affine @ (2, 4, 6, 1), affine @ (2, 4, 6, 1))
        assert read.array[2, 4, 6] == array()[2, 4, 6]
        other = nibabel.load(tmp_path / 'a.nii')  # by nibabel's own reader, sform and qform
        for form in (other.get_sform(), other.get_qform()):
            np.testing.assert_allclose(form, affine, atol=1e-5)
        np.testing.assert_array_equal(np.asarray(other.dataobj), array())


@pytest.mark.filterwarnings('ignore:.* from right angles')
def test_header_that_is_written(tmp_path):
    write_volume(Volume(array(), tilted()), tmp_path / 'a.nii')
    header = nibabel.load(tmp_path / 'a.nii').header
    assert (int(header['sform_code']), int(header['qform_code'])) == (1, 1)
    assert header.get_xyzt_units() == ('mm', 'unknown')
    write_volume(Volume(array(), sheared()), tmp_path / 'b.nii')
    header = nibabel.load(tmp_path / 'b.nii').header
    assert (int(header['sform_code']), int(header['qform_code'])) == (1, 0)
    np.testing.assert_allclose(read_volume(tmp_path / 'b.nii').affine, sheared(), atol=1e-6)


def test_same_image_same_bytes(tmp_path):
    digests = set()
    for name in ('a.nii.gz', 'b.nii.gz'):
        write_volume(Volume(array(), tilted()), tmp_path / name)
        digests.add(hashlib.sha256((tmp_path / name).read_bytes()).hexdigest())
    assert len(digests) == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ['a.nii.gz', 'b.nii.gz']


@pytest.mark.parametrize(
    'view', [lambda a: a[::-1], lambda a: a.transpose(2, 0, 1), lambda a: a[:, ::2], lambda a: a > 3]
)
def test_views(tmp_path, view):
    write_volume(Volume(view(array()), np.eye(4)), tmp_path / 'a.nii')
    np.testing.assert_array_equal(read_volume(tmp_path / 'a.nii').array, view(array()))


@pytest.mark.parametrize('dtype', ['int16', 'float32', 'float64'])
@pytest.mark.parametrize('order', ['<', '>'])
def test_both_byte_orders(tmp_path, order, dtype):
    header = nibabel.Nifti1Header(endianness=order)
    path = write_with_nibabel(tmp_path / 'a.nii', array(dtype=dtype), tilted(), header)
    first = int.from_bytes(path.read_bytes()[:4], 'little' if order == '<' else 'big')
    assert first == 348
    read = read_volume(path)
    assert read.array.dtype == np.dtype(dtype)
    assert read.array.dtype.isnative
    np.testing.assert_array_equal(read.array, array())
    np.testing.assert_allclose(read.affine, tilted(), atol=1e-6)


@pytest.mark.parametrize(('unit', 'factor'), [('meter', 1000), ('mm', 1), ('micron', 1e-3), ('unknown', 1)])
def test_units(tmp_path, unit, factor):
    header = nibabel.Nifti1Header()
    header.set_xyzt_units(unit, 'sec')
    path = write_with_nibabel(tmp_path / 'a.nii', array(), tilted(), header)
    expected = tilted()
    expected[:3] *= factor
    np.testing.assert_allclose(read_volume(path).affine, expected, rtol=1e-6)


def test_nifti_2(tmp_path):
    affine = tilted()
    affine[0, 3] = 1 / 3
    (tmp_path / 'a.nii').write_bytes(nibabel.Nifti2Image(array(), affine).to_bytes())
    read = read_volume(tmp_path / 'a.nii')
    np.testing.assert_array_equal(read.array, array())
    np.testing.assert_array_equal(read.affine, affine)


def test_content_decides_about_gzip(tmp_path):
    write_volume(Volume(array(), np.eye(4)), tmp_path / 'a.nii')
    plain = (tmp_path / 'a.nii').read_bytes()
    (tmp_path / 'plain.nii.gz').write_bytes(plain)
    (tmp_path / 'packed.nii').write_bytes(gzip.compress(plain))
    for name in ('plain.nii.gz', 'packed.nii'):
        np.testing.assert_array_equal(read_volume(tmp_path / name).array, array())


def test_extensions_are_passed_over(tmp_path):
    image = nibabel.Nifti1Image(array(), np.eye(4))
    image.header.extensions.append(nibabel.nifti1.Nifti1Extension('comment', b'a word' * 100))
    for name, pack in (('a.nii', bytes), ('a.nii.gz', gzip.compress)):
        (tmp_path / name).write_bytes(pack(image.to_bytes()))
        np.testing.assert_array_equal(read_volume(tmp_path / name).array, array())


@pytest.mark.parametrize(
    ('dtype', 'result'), [('uint8', 'float32'), ('int16', 'float32'), ('int32', 'float64'), ('float32', 'float32')]
)
def test_scaled(tmp_path, dtype, result):
    path = write_with_nibabel(tmp_path / 'a.nii', array(dtype=dtype), np.eye(4))
    patched(path, 112, np.array([0.5, -3], '<f4').tobytes())
    read = read_volume(path)
    assert read.array.dtype == np.dtype(result)
    np.testing.assert_array_equal(read.array, array() * 0.5 - 3)


@pytest.mark.parametrize('scale', [(1, 0), (0, 5), (np.nan, 0), (np.nan, np.nan)])
def test_not_scaled(tmp_path, scale):
    path = patched(write_with_nibabel(tmp_path / 'a.nii', array(), np.eye(4)), 112, np.array(scale, '<f4').tobytes())
    read = read_volume(path)
    assert read.array.dtype == np.int16
    np.testing.assert_array_equal(read.array, array())


def test_only_an_intercept(tmp_path):
    path = patched(write_with_nibabel(tmp_path / 'a.nii', array(), np.eye(4)), 112, np.array([1, 2], '<f4').tobytes())
    np.testing.assert_array_equal(read_volume(path).array, array() + 2)


@pytest.mark.parametrize(
    ('shape', 'read_as', 'channels'),
    [
        ((3, 5), (3, 5), False),
        ((3, 5, 1), (3, 5, 1), False),
        ((3, 5, 7, 1), (3, 5, 7), False),
        ((3, 5, 7, 1, 1), (3, 5, 7), False),
        ((3, 5, 7, 2), (3, 5, 7, 2), True),
        ((3, 5, 7, 1, 2), (3, 5, 7, 2), True),
        ((3, 5, 1, 2), (3, 5, 1, 2), True),
    ],
)
def test_axes(tmp_path, shape, read_as, channels):
    read = read_volume(write_with_nibabel(tmp_path / 'a.nii', array(shape), np.eye(4)))
    assert (read.array.shape, read.has_channels) == (read_as, channels)
    np.testing.assert_array_equal(read.array, array(shape).reshape(read_as))


@pytest.mark.parametrize('shape', [(3, 5, 7, 2), (3, 5, 2)])
def test_channels_round_trip(tmp_path, shape):
    write_volume(Volume(array(shape), np.eye(4), has_channels=True), tmp_path / 'a.nii')
    read = read_volume(tmp_path / 'a.nii')
    assert read.has_channels
    np.testing.assert_array_equal(read.array.reshape(shape), array(shape))


@pytest.mark.parametrize('shape', [(7,), (3, 5, 7, 2, 2)])
def test_other_numbers_of_axes(tmp_path, shape):
    with pytest.raises(ValueError, match=r'a\.nii: expected two to four axes, found dim \[\d, '):
        read_volume(write_with_nibabel(tmp_path / 'a.nii', array(shape), np.eye(4)))


def test_plane_without_thickness(tmp_path):
    path = write_with_nibabel(tmp_path / 'a.nii', array((3, 5)), np.eye(4))
    patched(path, QFORM_CODE, bytes(4))
    patched(path, 76, np.array([1, 2, 3, 0], '<f4').tobytes())
    assert read_volume(path).spacing_mm == (2, 3)


@pytest.mark.parametrize('spacing', [(1, 0, 1), (1, 1, -2), (np.nan, 1, 1)])
@pytest.mark.parametrize('qform_code', [0, 1])
def test_spacing_of_the_header(tmp_path, spacing, qform_code):
    path = write_with_nibabel(tmp_path / 'a.nii', array(), np.eye(4))
    patched(path, QFORM_CODE, bytes([qform_code, 0, 0, 0]))
    assert read_volume(path).spacing_mm == (1, 1, 1)
    patched(path, 80, np.array(spacing, '<f4').tobytes())
    with pytest.raises(ValueError, match=r'a\.nii: expected a positive spacing, found \[.*\] mm in its header'):
        read_volume(path)


@pytest.mark.parametrize(
    ('row', 'message'), [((0, 0, 0, 3), 'the spacing must be positive'), ((1, 0, 0, 3), 'the spacing')]
)
def test_singular_sform(tmp_path, row, message):
    path = write_with_nibabel(tmp_path / 'a.nii', array(), np.eye(4))
    patched(path, SROW_Y, np.array(row, '<f4').tobytes())
    with pytest.raises(ValueError, match=rf'a\.nii: {message}'):
        read_volume(path)


@pytest.mark.filterwarnings('ignore:.* from right angles')
def test_directions_in_one_plane(tmp_path):
    path = write_with_nibabel(tmp_path / 'a.nii', array(), np.eye(4))
    patched(path, SROW_Y, np.array([[1, 1, 0, 0], [0, 0, 0, 0]], '<f4').tobytes())
    patched(path, SROW_Y + 16, np.array([0, 0, 1, 0], '<f4').tobytes())
    assert read_volume(path).spacing_mm == pytest.approx((2**0.5, 1, 1))
    patched(path, SROW_Y - 16, np.array([1, 1, 0, 0], '<f4').tobytes())
    with pytest.raises(ValueError, match=r'a\.nii: the affine is singular: '):
        read_volume(path)


def test_odd_handedness(tmp_path):
    path = write_with_nibabel(tmp_path / 'a.nii', array(), np.eye(4))
    patched(path, QFORM_CODE, bytes([1, 0, 0, 0]))
    patched(path, 76, np.array(0.5, '<f4').tobytes())
    with pytest.raises(ValueError, match=r'a\.nii: expected a usable qform, found qfac'):
        read_volume(path)


def test_unusable_qform(tmp_path):
    path = write_with_nibabel(tmp_path / 'a.nii', array(), np.eye(4))
    patched(path, QFORM_CODE, bytes([1, 0, 0, 0]) + np.array(9, '<f4').tobytes())
    with pytest.raises(ValueError, match=r'a\.nii: expected a usable qform, found'):
        read_volume(path)


@pytest.mark.parametrize('name', ['a.nii', 'a.nii.gz'])
@pytest.mark.parametrize('keep', [1, 100, 347, 351, 360, -1])
def test_truncated(tmp_path, name, keep):
    write_volume(Volume(array(), np.eye(4)), tmp_path / name)
    content = (tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(content[: min(keep, len(content) - 9) if name.endswith('gz') and keep > 0 else keep])
    with pytest.raises(ValueError, match=rf'{name}: expected .*, found .*\. Copy or download the file again'):
        read_volume(tmp_path / name)


def test_truncated_before_packing(tmp_path):
    write_volume(Volume(array(), np.eye(4)), tmp_path / 'a.nii')
    (tmp_path / 'b.nii.gz').write_bytes(gzip.compress((tmp_path / 'a.nii').read_bytes()[:-3]))
    with pytest.raises(
        ValueError, match=r'b\.nii\.gz: expected 210 bytes of voxels as its header says, found 207 bytes'
    ):
        read_volume(tmp_path / 'b.nii.gz')
    (tmp_path / 'a.nii').write_bytes((tmp_path / 'a.nii').read_bytes()[:-3])
    message = r'a\.nii: expected 210 bytes .* \(size \(3, 5, 7\), 2 bytes each\), found 207 bytes\. Copy'
    with pytest.raises(ValueError, match=message):
        read_volume(tmp_path / 'a.nii')


def test_damaged_gzip(tmp_path):
    write_volume(Volume(array((30, 30, 30)), np.eye(4)), tmp_path / 'a.nii.gz')
    patched(tmp_path / 'a.nii.gz', 2000, b'\xff' * 50)
    with pytest.raises(ValueError, match=r'a\.nii\.gz: expected a complete gzip file, found a damaged one'):
        read_volume(tmp_path / 'a.nii.gz')


@pytest.mark.parametrize('name', ['a.nii', 'a.nii.gz'])
def test_absurd_size_takes_no_memory(tmp_path, name):
    path = write_with_nibabel(tmp_path / 'a.nii', array(), np.eye(4))
    patched(path, 40, np.array([3, 32767, 32767, 32767], '<i2').tobytes())
    if name != path.name:
        (tmp_path / name).write_bytes(gzip.compress(path.read_bytes()))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(ValueError, match=r'size \(32767, 32767, 32767\), 2 bytes each\), found \d+ bytes'):
        read_volume(tmp_path / name)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 50_000


@pytest.mark.parametrize(
    ('offset', 'value', 'message'),
    [
        (0, b'\x00\x00\x00\x01', 'expected a NIfTI header, found 348 bytes of something else'),
        (70, b'\xff\x7f', 'expected a NIfTI header, found a damaged one'),
        (70, b'\x80\x00', 'expected one number a voxel, found data type'),  # RGB24
        (344, b'ni1\x00', r'expected header and voxels in one file, found the header of a \.hdr/\.img pair'),
        (108, np.array(4, '<f4').tobytes(), 'expected voxels behind the header, found vox_offset 4'),
        (108, np.array(np.nan, '<f4').tobytes(), 'expected voxels behind the header, found vox_offset nan'),
        (108, np.array(347, '<f4').tobytes(), 'expected voxels behind the header, found vox_offset 347'),
        (108, np.array(np.inf, '<f4').tobytes(), 'found 0 bytes'),
        (108, np.array(1e9, '<f4').tobytes(), 'found 0 bytes'),
        (40, np.array([3, 5, 0, 7], '<i2').tobytes(), r'at least one voxel along each axis, found size \(5, 0, 7\)'),
        (40, np.array([3, 5, -4, 7], '<i2').tobytes(), r'at least one voxel along each axis, found size \(5, -4, 7\)'),
        (112, np.array([np.inf, 0], '<f4').tobytes(), 'expected a finite scale, found scl_slope inf'),
        (112, np.array([2, np.nan], '<f4').tobytes(), r'found scl_slope 2\.0, scl_inter nan'),
        (280, np.array([np.nan], '<f4').tobytes(), 'the affine must be finite'),
    ],
)
def test_damaged_headers(tmp_path, offset, value, message):
    path = patched(write_with_nibabel(tmp_path / 'a.nii', array(), np.eye(4)), offset, value)
    with pytest.raises(ValueError, match=r'a\.nii: .*' + message):
        read_volume(path)


@pytest.mark.parametrize('dtype', ['float16', 'U1'])
def test_types_that_are_refused(tmp_path, dtype):
    with pytest.raises(ValueError, match=r'a\.nii: NIfTI cannot hold '):
        write_volume(Volume(np.zeros((2, 3), dtype), np.eye(4)), tmp_path / 'a.nii')
    assert not list(tmp_path.iterdir())


def test_axes_that_are_too_long(tmp_path):
    with pytest.raises(ValueError, match='at most 32767 voxels along an axis, got'):
        write_volume(Volume(np.zeros((32768, 1), np.uint8), np.eye(4)), tmp_path / 'a.nii')
    write_volume(Volume(np.zeros((32767, 1), np.uint8), np.eye(4)), tmp_path / 'a.nii')


@pytest.mark.realdata
def test_hippocampus_as_nibabel_reads_it(realdata):
    files = sorted((realdata / 'Task04_Hippocampus' / 'imagesTr').glob('hippocampus_0[0-3]*.nii.gz'))
    assert len(files) > 10
    for path in files:
        read, other = read_volume(path), nibabel.load(path)
        np.testing.assert_array_equal(read.affine, other.affine)
        np.testing.assert_array_equal(read.array, np.asanyarray(other.dataobj))
        assert read.spacing_mm == (1, 1, 1)
