"""Which file is written by what."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from mmseg_medical.geometry.errors import file_error
from mmseg_medical.geometry.formats import itk, nifti, npy, raster
from mmseg_medical.geometry.grid import Grid
from mmseg_medical.geometry.readers import file_suffix
from mmseg_medical.geometry.same_grid import check_grid
from mmseg_medical.geometry.volume import Volume

_WITH_AFFINE: dict[str, Callable[[Volume, Path], None]] = {
    '.nii.gz': nifti.write,
    '.nii': nifti.write,
    '.nrrd': itk.write,
    '.mhd': itk.write,
    '.mha': itk.write,
}
_WITHOUT_AFFINE: dict[str, Callable[[Volume, Path], None]] = {
    '.png': raster.write,
    '.tif': raster.write,
    '.tiff': raster.write,
    '.npy': npy.write,
}


def write_volume(volume: Volume, path: str | Path, like: Volume | Grid | None = None) -> None:
    """Write an image so that reading it gives the same array and affine.

    A reader meets the old file or the new one, never half of it. Of an MHD, which is two files, the voxels are replaced
    first. NIfTI-1 keeps affines in float32, seven digits (an affine that came from one stays to the bit); NIfTI-2 would
    keep all, but ITK and what is built on it cannot read it.

    Args:
        volume (Volume): Image to write. What the format cannot hold is an error, never lost: NIfTI, NRRD, MHD and MHA
            need an affine, PNG, TIFF and npy have no place for one.
        path (str | Path): The format follows from the suffix; the folder is made if missing.
        like (Volume | Grid | None): Image that the result must overlay.

    Raises:
        OSError: The file cannot be written.
        ImportError: The package for the format is not installed.
        ValueError: The suffix is not one of a format that is written, the format cannot hold the image, or the image
            does not lie on the grid of ``like``.
    """
    if like is not None:
        check_grid(volume, like)
    path = Path(path)
    suffix = file_suffix(path)
    if suffix in _WITH_AFFINE:
        if volume.affine is None:
            raise ValueError(
                f'{path}: {volume.name} has no affine, and {suffix} files need one; give it, or write npy or TIFF'
            )
        _WITH_AFFINE[suffix](volume, path)
    elif suffix in _WITHOUT_AFFINE:
        if volume.affine is not None:
            raise ValueError(
                f'{path}: {suffix} files cannot hold the affine of {volume.name}; write NIfTI or NRRD, or '
                'Volume(array, None) if the geometry may be lost'
            )
        _WITHOUT_AFFINE[suffix](volume, path)
    else:
        formats = ', '.join([*_WITH_AFFINE, *_WITHOUT_AFFINE])
        raise file_error(path, expected=f'a name ending in {formats}', found=repr(path.suffix))
