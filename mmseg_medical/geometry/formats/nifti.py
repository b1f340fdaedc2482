"""NIfTI-1 and NIfTI-2 in one file, plain or gzipped.

nibabel reads and writes the header, which it does with more patience for odd ones than ITK (that refuses directions
which are not orthonormal). The voxels are read here, in pieces: a header may claim any size, memory only follows what
the file really holds.
"""

from __future__ import annotations

import gzip
import math
import zlib
from pathlib import Path
from typing import IO, Any, cast

import numpy as np

from mmseg_medical.files import atomic_write
from mmseg_medical.geometry.errors import COPY_AGAIN, check_claim, file_error
from mmseg_medical.geometry.volume import Volume
from mmseg_medical.optional import import_optional

_PIECE = 1 << 22
# of the units that a header may state; without one they are millimetres
_MILLIMETRES = {1: 1000.0, 2: 1.0, 3: 0.001}
_HEADERS = {348: 'Nifti1Header', 540: 'Nifti2Header'}


def read(path: Path) -> Volume:
    """Read voxels and affine: of the sform, else of the qform, else of the spacing alone (as nibabel does)."""
    with path.open('rb') as raw:
        compressed = raw.read(2) == b'\x1f\x8b'  # content decides: files are often renamed
        raw.seek(0)
        with cast(IO[bytes], gzip.GzipFile(fileobj=raw)) if compressed else raw as file:
            try:
                header = _read_header(file, path)
                dtype, shape = header.get_data_dtype(), _shape(header, path)
                if dtype.names or dtype.kind not in 'iufc':
                    raise file_error(path, expected='one number a voxel', found=f'data type {dtype}')
                offset = _offset(header, path)
                check_claim(
                    path, shape, dtype.itemsize, path.stat().st_size - (0 if compressed else offset), compressed
                )
                _skip(file, offset)
                flat = _read_values(file, math.prod(shape), dtype, path)
                file.read(1)  # at the end of the gzip stream its checksum is compared
            except (EOFError, zlib.error, gzip.BadGzipFile) as error:
                raise file_error(
                    path, expected='a complete gzip file', found=f'a damaged one ({error})', remedy=COPY_AGAIN
                ) from error
    array = flat.reshape(shape, order='F')
    return Volume(_scale(array, header, path), _affine(header, len(shape), path), str(path), len(shape) == 4)


def write(volume: Volume, path: Path) -> None:
    """Write NIfTI-1, gzipped if the name ends so; the affine as sform, and as qform where that can hold it."""
    nibabel = import_optional('nibabel', 'volumes')
    array = volume.array.view(np.uint8) if volume.array.dtype == bool else volume.array
    if array.dtype == np.float16 or array.dtype.kind not in 'iufc':
        raise ValueError(f'{path}: NIfTI cannot hold {array.dtype}; convert the array first')
    if max(array.shape) > np.iinfo(np.int16).max:
        raise ValueError(f'{path}: NIfTI-1 holds at most 32767 voxels along an axis, got {array.shape}')
    if volume.has_channels and volume.rank == 2:
        array = array[:, :, None]
    image = nibabel.Nifti1Image(array, volume.affine, dtype=array.dtype)
    image.header.set_xyzt_units('mm')
    image.set_sform(volume.affine, code='scanner')
    directions = np.asarray(volume.affine)[:3, :3] / np.linalg.norm(np.asarray(volume.affine)[:3, :3], axis=0)
    orthonormal = np.allclose(directions.T @ directions, np.eye(3), atol=1e-6)
    image.set_qform(volume.affine, code='scanner' if orthonormal else 'unknown')
    with atomic_write(path, 'wb') as file:
        if path.name.lower().endswith('.gz'):
            # without name and time, so that the same image is the same file
            with gzip.GzipFile(filename='', fileobj=file, mode='wb', compresslevel=6, mtime=0) as packed:
                image.to_stream(packed)
        else:
            image.to_stream(file)


def _read_header(file: IO[bytes], path: Path) -> Any:
    nibabel = import_optional('nibabel', 'volumes')
    start = file.read(4)
    kind = next(
        (size for size in _HEADERS for order in ('<i4', '>i4') if start == np.array(size, order).tobytes()), None
    )
    block = start + file.read((kind or 348) - 4)
    if kind is None or len(block) < kind:
        raise file_error(
            path, expected='a NIfTI header', found=f'{len(block)} bytes of something else', remedy=COPY_AGAIN
        )
    # Only the header itself: an extension is not needed, and may claim any length. What nibabel would mend silently
    # (spacing 0 becomes 1) is an error further down.
    try:
        header = getattr(nibabel, _HEADERS[kind])(block, check=False)
        header.get_data_dtype()
    except (nibabel.spatialimages.HeaderDataError, KeyError) as error:
        raise file_error(
            path, expected='a NIfTI header', found=f'a damaged one ({error})', remedy=COPY_AGAIN
        ) from error
    if bytes(header['magic'])[:2] == b'ni':
        raise file_error(path, expected='header and voxels in one file', found='the header of a .hdr/.img pair')
    return header


def _shape(header: Any, path: Path) -> tuple[int, ...]:
    number = int(header['dim'][0])
    shape = tuple(int(length) for length in header['dim'][1 : number + 1]) if 1 <= number <= 7 else ()
    while len(shape) > 3 and shape[-1] == 1:
        shape = shape[:-1]
    if len(shape) > 4:
        shape = (*shape[:3], *(length for length in shape[3:] if length != 1))
    if not 2 <= len(shape) <= 4:
        raise file_error(path, expected='two to four axes', found=f'dim {header["dim"].tolist()} in its header')
    return shape


def _offset(header: Any, path: Path) -> int:
    offset = float(header['vox_offset'])
    if not offset >= len(header.binaryblock):  # or NaN
        raise file_error(path, expected='voxels behind the header', found=f'vox_offset {offset:g}', remedy=COPY_AGAIN)
    return int(min(offset, 1e18))


def _skip(file: IO[bytes], offset: int) -> None:
    while file.tell() < offset and file.read(min(_PIECE, offset - file.tell())):
        pass


def _read_values(file: IO[bytes], count: int, dtype: np.dtype, path: Path) -> np.ndarray:
    needed = count * dtype.itemsize
    data = bytearray()
    while len(data) < needed and (piece := file.read(min(_PIECE, needed - len(data)))):
        data += piece
    if len(data) < needed:
        raise file_error(
            path,
            expected=f'{needed} bytes of voxels as its header says',
            found=f'{len(data)} bytes',
            remedy=COPY_AGAIN,
        )
    values = np.frombuffer(data, dtype)
    if not dtype.isnative:
        values = values.byteswap(inplace=True).view(dtype.newbyteorder('='))
    return values


def _scale(array: np.ndarray, header: Any, path: Path) -> np.ndarray:
    slope, intercept = float(header['scl_slope']), float(header['scl_inter'])
    if slope == 0 or math.isnan(slope):  # the standard's way to say: not scaled
        return array
    if not (math.isfinite(slope) and math.isfinite(intercept)):
        raise file_error(path, expected='a finite scale', found=f'scl_slope {slope}, scl_inter {intercept}')
    if (slope, intercept) == (1, 0):
        return array
    exact = array.dtype.itemsize <= 2 or array.dtype == np.float32
    scaled = array.astype(np.float32 if exact else np.result_type(array.dtype, np.float64))
    scaled *= slope
    scaled += intercept
    return scaled


def _affine(header: Any, axes: int, path: Path) -> np.ndarray:
    if not int(header['sform_code']):
        spacing = header['pixdim'][1:4]
        if axes == 2 and spacing[2] == 0:
            spacing[2] = 1  # a plane may leave its thickness open
        if not (spacing > 0).all():
            raise file_error(path, expected='a positive spacing', found=f'{spacing.tolist()} mm in its header')
    nibabel = import_optional('nibabel', 'volumes')
    try:
        affine = header.get_best_affine()
    except (nibabel.spatialimages.HeaderDataError, ValueError) as error:
        raise file_error(path, expected='a usable qform', found=f'{error}') from error
    affine[:3] *= _MILLIMETRES.get(int(header['xyzt_units']) & 7, 1.0)
    return affine
