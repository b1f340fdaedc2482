"""NRRD, MHD and MHA through SimpleITK."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from mmseg_medical.files import PARTIAL_SUFFIX
from mmseg_medical.geometry.errors import COPY_AGAIN, file_error
from mmseg_medical.geometry.formats.itk_header import check_header
from mmseg_medical.geometry.volume import Volume
from mmseg_medical.optional import import_optional

_IMAGE_IO = {'.nrrd': 'NrrdImageIO', '.mhd': 'MetaImageIO', '.mha': 'MetaImageIO'}
# x and y of ITK's world (LPS) point the other way in RAS
_LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])


def read(path: Path) -> Volume:
    """Read voxels and affine; several components a voxel come as a last axis."""
    sitk = import_optional('SimpleITK', 'volumes')
    check_header(path)
    reader = sitk.ImageFileReader()
    reader.SetFileName(str(path))
    reader.SetImageIO(_IMAGE_IO[path.suffix.lower()])
    try:
        reader.ReadImageInformation()
        spatial, components = tuple(reader.GetSize()), reader.GetNumberOfComponents()
        shape = (*spatial, components) if components > 1 else spatial
        if not 2 <= len(spatial) <= len(shape) <= 4:
            raise file_error(path, expected='two to four axes', found=f'shape {shape}')
        affine = _affine(reader, len(spatial), path)
        array = sitk.GetArrayFromImage(reader.Execute())
    except RuntimeError as error:
        raise file_error(
            path, expected='a complete image file', found=f'one that ITK refuses ({_reason(error)})', remedy=COPY_AGAIN
        ) from error
    if array.dtype.kind not in 'iuf' or array.ndim != len(shape):
        raise file_error(path, expected='one or several real numbers a voxel', found=f'{array.dtype} {array.shape}')
    # ITK counts x first, its arrays z first; components stay last
    axes = (*reversed(range(len(spatial))), *range(len(spatial), len(shape)))
    return Volume(array.transpose(axes), affine, str(path), has_channels=components > 1 or len(spatial) == 4)


def write(volume: Volume, path: Path) -> None:
    """Write the image, compressed; an MHD gets its ``.zraw`` file beside it."""
    sitk = import_optional('SimpleITK', 'volumes')
    array = volume.array.view(np.uint8) if volume.array.dtype == bool else volume.array
    if array.dtype == np.float16 or array.dtype.kind not in 'iuf':
        raise ValueError(f'{path}: {path.suffix} files cannot hold {array.dtype}; convert the array first')
    axes = (*reversed(range(volume.rank)), *range(volume.rank, array.ndim))
    image = sitk.GetImageFromArray(np.ascontiguousarray(array.transpose(axes)), isVector=volume.has_channels)
    affine = _LPS_TO_RAS @ np.asarray(volume.affine)
    rank = volume.rank
    if rank == 2 and (affine[2, [0, 1, 3]].any() or affine[:2, 2].any()):
        raise ValueError(f'{path}: a 2D file holds no tilted or shifted plane; store it as a volume of one slice')
    spacing = np.linalg.norm(affine[:rank, :rank], axis=0)
    image.SetSpacing(spacing.tolist())
    image.SetOrigin(affine[:rank, 3].tolist())
    image.SetDirection((affine[:rank, :rank] / spacing).reshape(-1).tolist())
    path.parent.mkdir(parents=True, exist_ok=True)
    # ITK chooses by suffix and writes the name of the data file into the header: whole names in a folder of their own
    with TemporaryDirectory(prefix=f'.{path.name}.', suffix=PARTIAL_SUFFIX, dir=path.parent) as folder:
        writer = sitk.ImageFileWriter()
        writer.SetFileName(str(Path(folder) / path.name))
        writer.SetImageIO(_IMAGE_IO[path.suffix.lower()])
        writer.UseCompressionOn()
        try:
            writer.Execute(image)
        except RuntimeError as error:
            raise OSError(f'{path}: ITK cannot write it ({_reason(error)})') from error
        for written in sorted(Path(folder).iterdir(), key=lambda file: file.name == path.name):  # the header last
            written.replace(path.parent / written.name)


def _affine(reader: Any, axes: int, path: Path) -> np.ndarray:
    rank = min(axes, 3)  # times lie nowhere
    spacing = np.array(reader.GetSpacing())[:rank]
    if not (spacing > 0).all():
        raise file_error(path, expected='a positive spacing', found=f'{spacing.tolist()} mm in its header')
    affine = np.eye(4)
    affine[:rank, :rank] = np.array(reader.GetDirection()).reshape(axes, axes)[:rank, :rank] * spacing
    affine[:rank, 3] = np.array(reader.GetOrigin())[:rank]
    return _LPS_TO_RAS @ affine


def _reason(error: Exception) -> str:
    """Of ITK's report, the lines behind the place in its source."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return '; '.join(lines[1:] or lines)[:300]
