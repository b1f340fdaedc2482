"""NRRD, MHD and MHA through SimpleITK."""

from __future__ import annotations

import re
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from mmseg_medical.files import PARTIAL_SUFFIX
from mmseg_medical.geometry.errors import COPY_AGAIN, check_claim, file_error
from mmseg_medical.geometry.volume import Volume
from mmseg_medical.optional import import_optional

_HEADER_BYTES = 1 << 16
_IMAGE_IO = {'.nrrd': 'NrrdImageIO', '.mhd': 'MetaImageIO', '.mha': 'MetaImageIO'}
# x and y of ITK's world (LPS) point the other way in RAS
_LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])


def read(path: Path) -> Volume:
    """Read voxels and affine; several components a voxel come as a last axis."""
    sitk = import_optional('SimpleITK', 'volumes')
    path.open('rb').close()  # ITK has no word for a file that may not be read
    reader = sitk.ImageFileReader()
    reader.SetFileName(str(path))
    reader.SetImageIO(_IMAGE_IO[path.suffix.lower()])
    try:
        reader.ReadImageInformation()
        spatial, components = tuple(reader.GetSize()), reader.GetNumberOfComponents()
        shape = (*spatial, components) if components > 1 else spatial
        if not 2 <= len(spatial) <= len(shape) <= 4:
            raise file_error(path, expected='two to four axes', found=f'shape {shape}')
        _check_size(path, shape, sitk.GetPixelIDValueAsString(reader.GetPixelID()))
        affine = _affine(reader, len(spatial), path)
        array = sitk.GetArrayFromImage(reader.Execute())
    except RuntimeError as error:
        raise file_error(
            path, expected='a complete image file', found=f'one that ITK refuses ({_reason(error)})', remedy=COPY_AGAIN
        ) from error
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


def _check_size(path: Path, shape: tuple[int, ...], pixel: str) -> None:
    bits = re.search(r'(\d+)-bit', pixel)
    if bits is None or 'complex' in pixel or 'label' in pixel:
        raise file_error(path, expected='one or several numbers a voxel', found=pixel)
    with path.open('rb') as file:
        header = file.read(_HEADER_BYTES)
    name = _field(header, 'ElementDataFile' if path.suffix.lower() != '.nrrd' else 'data file|datafile')
    data, inside = path, name is None or name.upper() == 'LOCAL'
    if name is not None and not inside:
        if name.upper().startswith('LIST') or '%' in name:
            raise file_error(path, expected='voxels in one file', found=f'a list of files ({name})')
        data = path.parent / name
        if not data.is_file():
            raise file_error(path, expected=f'its data file {name}', found='none of this name', remedy=COPY_AGAIN)
    encoding = _field(header, 'encoding')
    # of text at least one character a number
    itemsize = 1 if encoding in ('ascii', 'text', 'txt', 'hex') else int(bits[1]) // 8
    compressed = (_field(header, 'CompressedData') or '').lower() == 'true' or (encoding or '')[:2] in ('gz', 'bz')
    check_claim(path, shape, itemsize, data.stat().st_size, compressed)


def _field(header: bytes, name: str) -> str | None:
    found = re.search(rb'^(?:' + name.encode() + rb')[ \t]*[:=][ \t]*([^\r\n]*)', header, re.MULTILINE | re.IGNORECASE)
    return found[1].decode('latin-1').strip() if found else None


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
