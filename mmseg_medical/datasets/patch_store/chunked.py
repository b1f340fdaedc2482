"""Arrays as chunks, compressed or raw."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from mmseg_medical.datasets.patch_store.layout import Box, all_boxes, overlap, slices, touched
from mmseg_medical.optional import import_optional

# LZ4HC at 5 unpacks as fast as plain LZ4 and packs tighter; writing happens once.
_LEVEL = 5
_MOST_VALUES = 1 << 16
_SAMPLE = 1 << 20


def narrowest(array: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
    """Find small integers that a float image can be made of again, bit by bit.

    Images come from scanners as integers, and normalising them keeps the number of different values. Interpolated ones
    have too many.

    Args:
        array (np.ndarray): Any shape and type.

    Returns:
        tuple[np.ndarray, np.ndarray | None]: integers that are the values, and None; or integers that count the entries
        of the table that comes with them; or the array as it is, and None.

    >>> narrowest(np.float32([0, 255]))[0].dtype, narrowest(np.float32([-1, 2]))[0].dtype
    (dtype('uint8'), dtype('int16'))
    >>> narrowest(np.float32([0.5, -1, 0.5, 0.5] * 2))
    (array([1, 0, 1, 1, 1, 0, 1, 1], dtype=uint8), array([-1. ,  0.5], dtype=float32))
    """
    if array.dtype != np.float32 or array.size == 0:
        return array, None
    low, high = float(array.min()), float(array.max())
    for kind in (np.uint8, np.int16, np.uint16):
        limits = np.iinfo(kind)
        if limits.min <= low and high <= limits.max:  # false for NaN, which both are if any value is
            whole = array.astype(kind)
            if np.array_equal(_bits(whole.astype(np.float32)), _bits(array)):  # false for a negative zero
                return whole, None
            break
    return _coded(array)


def _coded(array: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
    bits = _bits(array)
    # a part tells quickly that there are too many
    found = np.unique(bits.reshape(-1)[:: 1 + bits.size // _SAMPLE])
    if len(found) <= _MOST_VALUES and len(found) < bits.size:
        found = np.unique(bits)
    if len(found) > _MOST_VALUES or 4 * len(found) > bits.size:
        return array, None
    values = found.view(np.float32)
    order = np.argsort(values, kind='stable')  # neighbouring values get neighbouring codes, which pack better
    code = np.empty(len(found), np.min_scalar_type(len(found) - 1))
    code[order] = np.arange(len(found))
    return code[np.searchsorted(found, bits)], values[order]


def _bits(array: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(array).view(np.uint32)


def pieces(array: np.ndarray, chunk: Sequence[int]) -> Iterator[np.ndarray]:
    """Go through the chunks of an array in their order, each contiguous."""
    for box in all_boxes(array.shape, chunk):
        yield np.ascontiguousarray(array[slices(box)])


class Packer:
    """Compresses chunks, with the byte shuffle if it helped the first one that was not constant."""

    def __init__(self) -> None:
        self._blosc2 = import_optional('blosc2', 'volumes')
        self._filter: Any = None

    def __call__(self, piece: np.ndarray) -> bytes:
        """Compress one contiguous chunk."""
        plain = self._blosc2.Filter.NOFILTER
        if self._filter is None and piece.itemsize > 1 and piece.min() != piece.max():
            self._filter = min((self._blosc2.Filter.SHUFFLE, plain), key=lambda one: len(self._pack(piece, one)))
        return self._pack(piece, plain if self._filter is None else self._filter)

    def _pack(self, piece: np.ndarray, one_filter: Any) -> bytes:
        return self._blosc2.compress2(
            piece,
            codec=self._blosc2.Codec.LZ4HC,
            clevel=_LEVEL,
            typesize=piece.itemsize,
            filters=[one_filter],
            filters_meta=[0],
            nthreads=1,  # what runs around this is parallel: workers of a loader, jobs of a build
        )


def unpack(data: bytes, shape: Sequence[int], dtype: np.dtype) -> np.ndarray:
    """Undo :class:`Packer`; ``data`` was checked before."""
    piece = np.empty(shape, dtype)
    import_optional('blosc2', 'volumes').decompress2(data, dst=piece, nthreads=1)
    return piece


def read_box(
    read_chunk: Callable[[int, tuple[int, ...]], np.ndarray],
    shape: Sequence[int],
    chunk: Sequence[int],
    dtype: np.dtype,
    box: Box,
    values: np.ndarray | None = None,
) -> np.ndarray:
    """Read part of an array; only the chunks that it touches are asked for.

    Args:
        read_chunk (Callable): ``(number, shape)`` to that chunk.
        shape (Sequence[int]): Of the whole array.
        chunk (Sequence[int]): Of a chunk.
        dtype (np.dtype): Of the result; the values of the chunks are turned into it.
        box (Box): Start and stop along every axis, inside the array; may be empty.
        values (np.ndarray, optional): Table whose entries the chunks count.

    Returns:
        np.ndarray: The part, C-contiguous, nobody else's.
    """
    out = np.empty([stop - start for start, stop in box], dtype)
    if out.size == 0:
        return out
    for number, place in touched(shape, chunk, box):
        piece = read_chunk(number, tuple(stop - start for start, stop in place))
        common = overlap(place, box)
        part = piece[slices(common, place)]
        out[slices(common, box)] = part if values is None else values[part]
    return out
