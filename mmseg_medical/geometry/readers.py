"""Which file is read by what."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from mmseg_medical.geometry.errors import file_error
from mmseg_medical.geometry.formats import itk, nifti, npy, raster
from mmseg_medical.geometry.formats.dicom import read_dicom_series
from mmseg_medical.geometry.orthogonality import report_shear
from mmseg_medical.geometry.volume import Volume

_READERS: dict[str, Callable[[Path], Volume]] = {
    '.nii.gz': nifti.read,
    '.nii': nifti.read,
    '.nrrd': itk.read,
    '.mhd': itk.read,
    '.mha': itk.read,
    '.png': raster.read,
    '.bmp': raster.read,
    '.tif': raster.read,
    '.tiff': raster.read,
    '.npy': npy.read,
}
#: suffixes, in lower case, of the files that can be read
SUFFIXES = tuple(_READERS)


def file_suffix(path: str | Path) -> str | None:
    """Return the one of :data:`SUFFIXES` that a file name ends in, or None."""
    name = Path(path).name.lower()
    return next((suffix for suffix in SUFFIXES if name.endswith(suffix) and name != suffix), None)


def file_stem(path: str | Path) -> str | None:
    """Return the file name without its suffix, which may be double; None if it is not a file that can be read.

    >>> file_stem('cases/a.01.nii.gz'), file_stem('b.PNG'), file_stem('plans.json')
    ('a.01', 'b', None)
    """
    suffix = file_suffix(path)
    return None if suffix is None else Path(path).name[: -len(suffix)]


def read_volume(path: str | Path) -> Volume:
    """Read an image with its geometry.

    Args:
        path (str | Path): The format follows from the suffix; a folder holds one DICOM series (see
            :func:`read_dicom_series`). NIfTI needs nibabel; NRRD, MHD, MHA and DICOM need SimpleITK.

    Returns:
        Volume: the array in the file's own type (scaled NIfTI: float) and the machine's byte order. NIfTI, NRRD, MHD,
        MHA: axes (I, J, K) as the header counts them, x first, with an affine. PNG, BMP, TIFF: (rows, columns), of
        several TIFF pages (rows, columns, pages), without. npy: as stored, without. A further axis (colours, times)
        comes last.

    Raises:
        OSError: The file cannot be opened.
        ImportError: The package for the format is not installed.
        ValueError: The suffix is unknown, or the file is damaged, claims more than it holds, or has an unusable affine.

    Warns:
        UserWarning: Its axes are not at right angles; by how many degrees. They are kept as they are.
    """
    path = Path(path)
    volume = read_dicom_series(path) if path.is_dir() else _read_file(path)
    report_shear(volume)
    return volume


def _read_file(path: Path) -> Volume:
    suffix = file_suffix(path)
    if suffix is None:
        raise file_error(
            path, expected=f'a file ending in {", ".join(SUFFIXES)}', found=_what(path), remedy=_remedy(path)
        )
    if path.stat().st_size == 0:
        raise file_error(path, expected='an image', found='a file of zero bytes', remedy='Copy or download it again.')
    return _READERS[suffix](path)


def _what(path: Path) -> str:
    return repr(path.suffix) if path.suffix else 'none of them'


def _remedy(path: Path) -> str:
    if path.suffix.lower() == '.npz':
        return 'An npz archive may hold many arrays: store the one that is meant as npy.'
    if path.suffix.lower() in ('.dcm', '.dicom', '.ima'):
        return 'One DICOM file is one slice: name the folder of its series.'
    return ''
