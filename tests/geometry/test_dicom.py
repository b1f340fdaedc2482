"""Series of DICOM files."""

import resource
import shutil

import numpy as np
import pytest
import SimpleITK
from affines import orientations, tilted
from dicom_phantom import rescale, write_series

from mmseg_medical.geometry import (
    check_grid,
    list_dicom_series,
    read_dicom_series,
    read_volume,
    reorient,
    shear_degrees,
    write_volume,
)


def values(size=(5, 7, 4), dtype=np.int16):
    return np.random.default_rng(0).integers(0, 200, size).astype(dtype)


def right_handed():
    return [affine for affine in orientations() if np.linalg.det(affine) > 0]


@pytest.mark.parametrize('affine', [*right_handed()[::3], tilted()], ids=range(9))
def test_voxels_are_where_they_were(tmp_path, affine):
    write_series(tmp_path, values(), affine)
    volume = read_volume(tmp_path)
    np.testing.assert_allclose(volume.affine, affine, atol=1e-6)
    np.testing.assert_array_equal(volume.array, values())
    assert (volume.array.dtype, volume.source) == (np.int16, str(tmp_path))


def test_slices_run_along_the_normal(tmp_path):
    for number, affine in enumerate(orientations()):
        if np.linalg.det(affine) < 0:
            write_series(tmp_path / str(number), values(), affine)
            volume = read_volume(tmp_path / str(number))
            np.testing.assert_array_equal(volume.array, values()[..., ::-1])
            np.testing.assert_allclose(volume.affine @ (1, 2, 3, 1), affine @ (1, 2, 0, 1), atol=1e-6)


def test_names_say_nothing(tmp_path):
    write_series(tmp_path, values(), tilted(), names=['9.dcm', '10', 'b.IMA', 'A.dcm'])
    np.testing.assert_array_equal(read_volume(tmp_path).array, values())


def test_as_itk_reads_it(tmp_path):
    write_series(tmp_path, values(), tilted())
    reader = SimpleITK.ImageSeriesReader()
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(tmp_path)))
    SimpleITK.WriteImage(reader.Execute(), str(tmp_path / 'a.nii'))
    volume, other = read_volume(tmp_path), read_volume(tmp_path / 'a.nii')
    check_grid(volume, other)
    np.testing.assert_array_equal(volume.array, other.array)


@pytest.mark.parametrize('dtype', ['uint8', 'int16', 'uint16'])
def test_types(tmp_path, dtype):
    write_series(tmp_path, values(dtype=dtype), tilted())
    assert read_volume(tmp_path).array.dtype == dtype
    np.testing.assert_array_equal(read_volume(tmp_path).array, values())


@pytest.mark.parametrize(('slope', 'intercept', 'kind'), [(2, -1024, 'i'), (0.5, 3, 'f'), (1, 0, 'i')])
def test_rescaled(tmp_path, slope, intercept, kind):
    for path in write_series(tmp_path, values(), tilted()):
        rescale(path, slope, intercept)
    volume = read_volume(tmp_path)
    assert volume.array.dtype.kind == kind
    assert volume.array.dtype.itemsize <= 4
    np.testing.assert_array_equal(volume.array, values() * slope + intercept)


def test_scale_of_each_slice(tmp_path):
    paths = write_series(tmp_path, values(), tilted())
    rescale(paths[2], 0.25, 1)
    volume = read_volume(tmp_path)
    assert volume.array.dtype == np.float32
    np.testing.assert_array_equal(volume.array[..., 2], values()[..., 2] / 4 + 1)
    np.testing.assert_array_equal(volume.array[..., [0, 1, 3]], values()[..., [0, 1, 3]])


def test_tilted_gantry_is_a_sheared_volume(tmp_path):
    affine = np.diag([1.0, 1.0, 3.0, 1.0])
    affine[1, 2] = 1.0
    write_series(tmp_path, values(), affine)
    with pytest.warns(UserWarning, match=r'its axes deviate by 18\.4 degrees from right angles; kept as they are'):
        volume = read_volume(tmp_path)
    np.testing.assert_allclose(volume.affine @ (1, 2, 3, 1), affine @ (1, 2, 3, 1), atol=1e-6)
    assert shear_degrees(volume) == pytest.approx(np.degrees(np.arctan(1 / 3)))


@pytest.mark.parametrize('spacing', [0.65, 1.25, 5.0])
def test_positions_rounded_to_a_tenth(tmp_path, spacing):
    affine = np.diag([1.0, 1.0, spacing, 1.0])
    for k in range(9):
        affine[2, 3] = round(spacing * k, 1)
        write_series(tmp_path, values((5, 7, 9))[..., k : k + 1], affine, names=[f'{k}.dcm'])
    volume = read_volume(tmp_path)
    assert volume.spacing_mm == pytest.approx((1, 1, spacing), rel=0.01)
    np.testing.assert_array_equal(volume.array, values((5, 7, 9)))


@pytest.mark.parametrize('moved', [0.2, -0.2])
def test_uneven_slices(tmp_path, moved):
    affine = np.diag([1.0, 1.0, 1.0, 1.0])
    for k in range(5):
        affine[2, 3] = k + moved * (k == 2)
        write_series(tmp_path, values((5, 7, 9))[..., k : k + 1], affine, names=[f'{k}.dcm'])
    with pytest.raises(ValueError, match=r'expected slices 1 mm apart, found a gap of 1\.2 mm from'):
        read_volume(tmp_path)


def test_one_slice(tmp_path):
    write_series(tmp_path / 'a', values((5, 7, 1)), tilted())
    volume = read_volume(tmp_path / 'a')
    assert volume.size == (5, 7, 1)
    np.testing.assert_allclose(volume.affine, tilted(), atol=1e-6)


def test_series_are_listed_and_chosen(tmp_path):
    first, second = values(), values((6, 3, 2))
    write_series(tmp_path / 'x' / 'y', first, tilted(), uid='1.2.3.5', description='chest')
    write_series(tmp_path, second, tilted(), uid='1.2.3.4', description='', tags={'0008|0060': 'MR'})
    (tmp_path / 'notes.txt').write_text('nothing of this is DICOM')
    (tmp_path / 'empty').touch()
    listed = list_dicom_series(tmp_path)
    assert [(one.uid, one.description, one.modality, len(one.files)) for one in listed] == [
        ('1.2.3.4', '', 'MR', 2),
        ('1.2.3.5', 'chest', 'CT', 4),
    ]
    message = (
        r'expected one DICOM series, found 2: 1\.2\.3\.4 \(MR, no description, 2 files\); 1\.2\.3\.5 \(CT, chest, 4 '
        r'files\)\. Choose one: read_dicom_series\(folder, series_uid='
    )
    with pytest.raises(ValueError, match=message):
        read_volume(tmp_path)
    np.testing.assert_array_equal(read_dicom_series(tmp_path, '1.2.3.5').array, first)
    np.testing.assert_array_equal(read_dicom_series(str(tmp_path), series_uid='1.2.3.4').array, second)
    with pytest.raises(ValueError, match=r'expected a DICOM series with the UID 9, found 1\.2\.3\.4 \(MR'):
        read_dicom_series(tmp_path, '9')


def test_what_is_no_series(tmp_path):
    assert list_dicom_series(tmp_path) == []
    with pytest.raises(FileNotFoundError, match='nowhere: no such folder'):
        list_dicom_series(tmp_path / 'nowhere')
    # a report: DICOM, but no image
    head = bytes(128) + b'DICM\x02\x00\x02\x00UI\x1e\x001.2.840.10008.5.1.4.1.1.88.11\0' + bytes(100)
    (tmp_path / 'report.dcm').write_bytes(head)
    assert list_dicom_series(tmp_path) == []
    with pytest.raises(ValueError, match='expected a DICOM series, found a folder without DICOM images'):
        read_dicom_series(tmp_path)


def test_missing_slice(tmp_path):
    paths = write_series(tmp_path, values((5, 7, 8)), tilted())
    paths[3].unlink()
    message = (
        r'4\.dcm: expected slices 3 mm apart, found a gap of 6 mm from 2\.dcm at \(-1, -2, 9\) mm to 4\.dcm at '
        r'\(-1, -2, 15\) mm\. Slices are missing or uneven'
    )
    with pytest.raises(ValueError, match=message):
        read_volume(tmp_path)


def test_missing_slice_of_four(tmp_path):
    paths = write_series(tmp_path, values(), tilted())
    paths[1].unlink()
    with pytest.raises(ValueError, match=r'2\.dcm: expected slices 3 mm apart, found a gap of 6 mm from 0\.dcm'):
        read_volume(tmp_path)


def test_slice_twice(tmp_path):
    paths = write_series(tmp_path, values(), tilted())
    shutil.copy(paths[2], tmp_path / 'copy.dcm')
    message = (
        r'expected one slice at each position, found a second one at \(-1, -2, 9\) mm, where .* is \(1 such in all\)'
    )
    with pytest.raises(ValueError, match=message):
        read_volume(tmp_path)


def test_slice_beside_the_stack(tmp_path):
    affine = np.diag([1.0, 1.0, 2.0, 1.0])
    write_series(tmp_path, values((5, 7, 3)), affine, names=['0', '1', '2'])
    affine[:2, 3] = 1.5
    affine[2, 3] = 6.0
    write_series(tmp_path, values((5, 7, 1)), affine, names=['3'])
    with pytest.raises(ValueError, match=r'expected slices in a straight stack, found one at .* mm beside it'):
        read_volume(tmp_path)


@pytest.mark.parametrize(
    ('size', 'affine', 'message'),
    [
        ((5, 6, 1), np.eye(4), r'expected the size of 0\.dcm, \[5, 7\], found \[5, 6\]'),
        (
            (5, 7, 1),
            np.diag([1, 1.5, 1, 1]),
            r'expected the PixelSpacing of 0\.dcm, \[1\.0, 1\.0\], found \[1\.0, 1\.5\]',
        ),
        ((5, 7, 1), np.eye(4)[:, [1, 2, 0, 3]], r'expected the ImageOrientationPatient of 0\.dcm'),
    ],
)
def test_slices_that_are_not_alike(tmp_path, size, affine, message):
    write_series(tmp_path, values(), np.eye(4))
    write_series(tmp_path, values(size), affine, names=['z.dcm'])
    with pytest.raises(ValueError, match=rf'z\.dcm: {message}.*scouts'):
        read_volume(tmp_path)


@pytest.mark.parametrize('keep', [0, 100, 200, 700, -10])
def test_damaged_file(tmp_path, keep):
    path = write_series(tmp_path, values((20, 30, 4)), tilted())[1]
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(ValueError, match=r'1\.dcm: expected a complete DICOM image, found .*\. Copy or download'):
        read_volume(tmp_path)


def patched(path, old, new):
    content = path.read_bytes()
    assert content.count(old) == 1
    path.write_bytes(content.replace(old, new))


def test_headers_without_place(tmp_path):
    for number, (old, new, message) in enumerate(
        [
            (b'\x20\x00\x32\x00', b'\x20\x00\x33\x00', 'expected 3 numbers as ImagePositionPatient, found none'),
            (b'\x20\x00\x37\x00', b'\x20\x00\x38\x00', 'expected 6 numbers as ImageOrientationPatient, found none'),
            (b'\\1 ', b'\\0 ', 'expected a positive spacing, found PixelSpacing 1, 0'),
            (b'-1\\0\\0\\0\\-1', b'-1\\0\\0\\-1\\0', 'expected two directions of length 1'),
        ]
    ):
        folder = tmp_path / str(number)
        path = write_series(folder, values((5, 7, 1)), np.eye(4), tags={'0020|0032': '5\\6\\7'})[0]
        patched(path, old, new)
        with pytest.raises(ValueError, match=rf'0\.dcm: {message}'):
            read_volume(folder)


def test_absurd_size_takes_no_memory(tmp_path):
    path = write_series(tmp_path, values((5, 7, 1)), np.eye(4))[0]
    for tag, old in ((b'\x10', b'\x07\x00'), (b'\x11', b'\x05\x00')):  # rows, columns
        head = b'\x28\x00' + tag + b'\x00\x02\x00\x00\x00'
        patched(path, head + old, head + b'\xff\xff')
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(ValueError, match=r'0\.dcm: expected (a complete DICOM image|8589672450 bytes)'):
        read_volume(tmp_path)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 50_000


def test_colours(tmp_path):
    image = SimpleITK.GetImageFromArray(np.zeros((1, 5, 7, 3), np.uint8), isVector=True)
    SimpleITK.WriteImage(image, str(tmp_path / 'a.dcm'))
    with pytest.raises(
        ValueError, match=r'a\.dcm: expected one slice with one value a pixel, found size \(7, 5, 1\), 3 v'
    ):
        read_volume(tmp_path)


@pytest.mark.realdata
def test_hippocampus_series(realdata, tmp_path):
    folder = realdata / 'hippocampus_dicom'
    (series,) = list_dicom_series(folder)
    assert (series.modality, series.description, len(series.files)) == ('MR', 'HippoCrop', 32)
    volume = read_volume(folder)
    assert (volume.size, volume.spacing_mm) == ((35, 51, 32), (1, 1, 1))
    reader = SimpleITK.ImageSeriesReader()
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(series.files[0].parent)))
    np.testing.assert_array_equal(volume.array, SimpleITK.GetArrayFromImage(reader.Execute()).T)
    write_volume(volume, tmp_path / 'a.nii.gz')
    check_grid(read_volume(tmp_path / 'a.nii.gz'), volume, tolerance_mm=1e-6)
    assert (np.diag(reorient(volume, 'RAS').affine) > 0).all()
