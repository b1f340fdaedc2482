"""Label maps from files."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from mmseg_medical.geometry.errors import file_error
from mmseg_medical.geometry.readers import read_volume
from mmseg_medical.geometry.volume import Volume

# Of a value: float32 scale factors in headers make 0.99999994 of a 1.
_ROUNDING = 1e-6
_PIECE = 1 << 20
_EXACT_IN_FLOAT = 2.0**53


def read_labels(path: str | Path) -> Volume:
    """Read a label map.

    Args:
        path (str | Path): File of any kind that :func:`read_volume` reads. Of a palette image the indices are the
            labels. Floats are accepted if they are whole numbers.

    Returns:
        Volume: shape (I, J) or (I, J, K), of the smallest integer type that holds all labels, unsigned unless some are
        negative.

    Raises:
        OSError: The file cannot be read.
        ValueError: It is damaged, has channels (a colour picture, a fourth axis), or a value is no whole number.
    """
    volume = read_volume(path)
    if volume.has_channels:
        raise file_error(
            path,
            expected='a label map with one value a voxel',
            found=f'{volume.array.shape[-1]} channels or times (shape {volume.array.shape})',
            remedy='Colours say nothing about labels: convert the picture to one of grey values or palette indices. '
            'Of a series, store each time as a file.',
        )
    array = volume.array
    if array.dtype.kind == 'b':
        array = array.view(np.uint8)
    elif array.dtype.kind == 'f':
        array = _whole_numbers(array, path)
    elif array.dtype.kind not in 'iu':
        raise file_error(path, expected='labels of an integer type', found=str(array.dtype))
    return Volume(array.astype(_smallest_type(array), copy=False), volume.affine, volume.source)


def _smallest_type(array: np.ndarray) -> np.dtype:
    low, high = int(array.min()), int(array.max())
    if low >= 0:
        return np.min_scalar_type(high)
    return np.min_scalar_type(min(low, -high - 1))  # of a negative number the signed one; -128 and 127 need the same


def _whole_numbers(array: np.ndarray, path: str | Path) -> np.ndarray:
    labels = np.empty_like(array, np.int64)
    values, whole = array.ravel(order='K'), labels.ravel(order='K')
    for start in range(0, values.size, _PIECE):
        piece = values[start : start + _PIECE].astype(np.float64)
        rounded = np.rint(piece)
        with np.errstate(invalid='ignore'):
            fits = np.abs(piece - rounded) <= _ROUNDING * np.maximum(np.abs(rounded), 1)
            fits &= np.abs(rounded) <= _EXACT_IN_FLOAT
        if not fits.all():
            raise file_error(
                path,
                expected='whole numbers as labels',
                found=f'{piece[~fits][0]:g} in a {array.dtype} array',
                remedy='Threshold or round it where its meaning is known; a probability map is no label map.',
            )
        whole[start : start + _PIECE] = rounded
    return labels
