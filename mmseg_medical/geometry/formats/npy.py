"""Arrays of NumPy, without geometry."""

from __future__ import annotations

import tokenize
from pathlib import Path

import numpy as np
from numpy.lib import format as npy_format

from mmseg_medical.files import atomic_write
from mmseg_medical.geometry.errors import COPY_AGAIN, check_claim, file_error
from mmseg_medical.geometry.volume import Volume


def read(path: Path) -> Volume:
    """Read an array of two or three axes; a fourth one is taken for channels."""
    with path.open('rb') as file:
        try:
            version = npy_format.read_magic(file)
            read_header = npy_format.read_array_header_1_0 if version == (1, 0) else npy_format.read_array_header_2_0
            shape, _, dtype = read_header(file)
        except (ValueError, EOFError, SyntaxError, tokenize.TokenError) as error:
            raise file_error(
                path, expected='a npy file', found=f'a damaged one ({error})', remedy=COPY_AGAIN
            ) from error
        if dtype.hasobject or dtype.names or dtype.kind not in 'biufc':
            raise file_error(path, expected='an array of numbers', found=f'dtype {dtype}')
        check_claim(path, shape, dtype.itemsize, path.stat().st_size - file.tell(), compressed=False)
    array = np.load(path, allow_pickle=False)
    if not array.dtype.isnative:
        array = array.astype(array.dtype.newbyteorder('='))
    return Volume(array, None, str(path), has_channels=array.ndim == 4)


def write(volume: Volume, path: Path) -> None:
    """Write the array."""
    if volume.array.dtype.kind not in 'biufc':
        raise ValueError(f'{path}: npy files hold numbers here, got {volume.array.dtype}')
    with atomic_write(path, 'wb') as file:
        np.save(file, volume.array, allow_pickle=False)
