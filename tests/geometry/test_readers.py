"""Which file is read, as what, and what is said of the others."""

import importlib.util

import numpy as np
import pytest
from numpy.lib import format as npy_format

from mmseg_medical.geometry import SUFFIXES, Volume, file_stem, read_volume, write_volume
from mmseg_medical.optional import import_optional

WITH_AFFINE = ['a.nii', 'a.nii.gz', 'a.nrrd', 'a.mhd', 'a.mha']
WITHOUT = ['a.png', 'a.tif', 'a.tiff', 'a.npy']


@pytest.mark.parametrize(
    ('name', 'stem'),
    [
        ('a.nii.gz', 'a'),
        ('a.b.NII.GZ', 'a.b'),
        ('x/case_01.nii', 'case_01'),
        ('a.nii.png', 'a.nii'),
        ('a.gz', None),
        ('a', None),
        ('.nii.gz', None),
        ('a.raw', None),
        ('a.npz', None),
    ],
)
def test_stems(name, stem):
    assert file_stem(name) == stem


@pytest.mark.parametrize('suffix', SUFFIXES)
def test_missing_and_empty_files(tmp_path, suffix):
    path = tmp_path / f'a{suffix}'
    with pytest.raises(FileNotFoundError, match='a' + suffix):
        read_volume(path)
    path.touch()
    with pytest.raises(ValueError, match=rf'a{suffix}: expected an image, found a file of zero bytes'):
        read_volume(str(path))


@pytest.mark.parametrize(
    ('name', 'found'),
    [('a.jpg', r"'\.jpg'\."), ('a', r'none of them\.'), ('a.npz', r"'\.npz'\. An npz archive may hold many")],
)
def test_other_files(tmp_path, name, found):
    (tmp_path / name).write_bytes(b'x')
    with pytest.raises(ValueError, match=rf'{name}: expected a file ending in \.nii\.gz, .*, \.npy, found {found}'):
        read_volume(tmp_path / name)


def test_folder(tmp_path):
    (tmp_path / 'a.txt').write_text('x')
    with pytest.raises(ValueError, match=r'expected a DICOM series, found a folder without DICOM images'):
        read_volume(tmp_path)


def test_one_slice_of_a_series(tmp_path):
    (tmp_path / '1.dcm').write_bytes(b'x')
    with pytest.raises(ValueError, match=r"found '\.dcm'\. One DICOM file is one slice: name the folder of its series"):
        read_volume(tmp_path / '1.dcm')


@pytest.mark.parametrize('name', WITH_AFFINE)
def test_these_need_an_affine(tmp_path, name):
    with pytest.raises(ValueError, match=f'{name}: x.npy has no affine, and {name[1:]} files need one'):
        write_volume(Volume(np.zeros((2, 3), np.uint8), None, 'x.npy'), tmp_path / name)


@pytest.mark.parametrize('name', WITHOUT)
def test_these_would_lose_it(tmp_path, name):
    with pytest.raises(ValueError, match=f'{name}: {name[1:]} files cannot hold the affine of volume; write NIfTI'):
        write_volume(Volume(np.zeros((2, 3), np.uint8), np.eye(4)), tmp_path / name)


@pytest.mark.parametrize('name', [*WITH_AFFINE, *WITHOUT])
def test_a_failure_leaves_the_old_file(tmp_path, name):
    affine = np.eye(4) if name in WITH_AFFINE else None
    write_volume(Volume(np.ones((2, 3), np.uint8), affine), tmp_path / name)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    with pytest.raises(ValueError, match=name):
        write_volume(Volume(np.zeros((2, 3), object if name == 'a.npy' else 'float16'), affine), tmp_path / name)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


@pytest.mark.parametrize('shape', [(3, 5), (3, 5, 7), (1, 1, 1), (3, 5, 7, 2)])
@pytest.mark.parametrize('dtype', ['uint8', '>i2', 'bool', 'float16', 'float64'])
def test_npy(tmp_path, shape, dtype):
    values = np.random.default_rng(0).integers(0, 2, shape).astype(dtype)
    for array in (values, np.asfortranarray(values)):
        write_volume(Volume(array, None, has_channels=len(shape) == 4), tmp_path / 'a.npy')
        read = read_volume(tmp_path / 'a.npy')
        assert (read.affine, read.has_channels) == (None, len(shape) == 4)
        assert read.array.dtype == np.dtype(dtype).newbyteorder('=')
        np.testing.assert_array_equal(read.array, values)


@pytest.mark.parametrize(
    ('array', 'message'),
    [
        (np.array([[{}]]), 'expected an array of numbers, found dtype object'),
        (np.zeros((2, 3), [('a', int)]), 'expected an array of numbers, found dtype'),
        (np.array([['a']]), 'expected an array of numbers, found dtype <U1'),
        (np.zeros((0, 3)), r'expected at least one voxel along each axis, found size \(0, 3\)'),
        (np.zeros(3), r'expected two or three spatial axes, found \(3,\)'),
        (np.zeros((1, 1, 1, 1, 1)), r'expected two or three spatial axes, found'),
    ],
)
def test_npy_of_other_things(tmp_path, array, message):
    np.save(tmp_path / 'a.npy', array, allow_pickle=True)
    with pytest.raises(ValueError, match=r'a\.npy: ' + message):
        read_volume(tmp_path / 'a.npy')


def test_npy_damaged(tmp_path):
    path = tmp_path / 'a.npy'
    np.save(path, np.zeros((5, 7)))
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(ValueError, match=r'a\.npy: expected 280 bytes .* found 279 bytes\. Copy'):
        read_volume(path)
    with path.open('wb') as file:
        npy_format.write_array_header_2_0(file, dict(shape=(1 << 40, 1 << 40), fortran_order=False, descr='<f8'))
    with pytest.raises(ValueError, match=r'a\.npy: expected 9671406556917033397649408 bytes .* found 0 bytes'):
        read_volume(path)
    for content in (b'\x93NUMPY', b'\x93NUMPY\x01\x00\x10\x00{}', b'\x93NUMPY\x09\x00\x00', b'x' * 300):
        path.write_bytes(content)
        with pytest.raises(ValueError, match=r'a\.npy: expected a npy file, found a damaged one \('):
            read_volume(path)


@pytest.mark.parametrize(('name', 'package'), [('a.nii', 'nibabel'), ('a.mha', 'SimpleITK')])
def test_missing_packages(tmp_path, monkeypatch, name, package):
    write_volume(Volume(np.zeros((2, 3), np.uint8), np.eye(4)), tmp_path / name)
    monkeypatch.setattr(importlib.util, 'find_spec', lambda wanted: None)
    message = rf"^{package} is needed and not installed here: pip install 'mmseg-medical\[volumes\]'$"
    with pytest.raises(ImportError, match=message):
        read_volume(tmp_path / name)
    with pytest.raises(ImportError, match=message):
        write_volume(Volume(np.zeros((2, 3), np.uint8), np.eye(4)), tmp_path / name)


def test_import_optional_gives_the_package():
    import math

    assert import_optional('math', 'volumes') is math
