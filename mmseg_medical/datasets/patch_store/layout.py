"""How an array is cut into the pieces that are compressed, checked and read one by one."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence

#: Bytes of one chunk before compression. It is decompressed as a whole, so it should stay in the second-level cache.
CHUNK_BYTES = 1 << 18

Box = tuple[tuple[int, int], ...]


def chunk_shape(
    shape: Sequence[int], patch_size: Sequence[int] | None, itemsize: int, limit: int = CHUNK_BYTES
) -> tuple[int, ...]:
    """Choose the size of the chunks for reading patches.

    Axes in front of those of the patch (channels) are never cut, since a patch has them all. The others are at most
    half the patch, so that little is decompressed in vain, and are halved, the longest first, until a chunk has
    ``limit`` bytes. An array that has no more than these is one chunk.

    Args:
        shape (Sequence[int]): Of the array, (*lead, *S).
        patch_size (Sequence[int], optional): What is read at once, one length an axis of S; the whole without.
        itemsize (int): Bytes an element.
        limit (int): Most bytes of a chunk.

    Returns:
        tuple[int, ...]: One length an axis, at least 1.

    >>> chunk_shape((1, 240, 240, 155), (128, 128, 128), 4), chunk_shape((1, 36, 50, 35), (32, 64, 32), 4)
    ((1, 32, 32, 64), (1, 36, 50, 35))
    """
    whole = tuple(max(1, length) for length in shape)
    if math.prod(whole) * itemsize <= limit:
        return whole
    chunk = list(whole)
    first = 0 if patch_size is None else len(whole) - len(patch_size)
    for axis, length in enumerate(patch_size or (), first):
        chunk[axis] = min(whole[axis], -(-length // 2))
    while math.prod(chunk) * itemsize > limit and max(chunk[first:]) > 1:
        longest = max(range(first, len(chunk)), key=lambda axis: chunk[axis])
        chunk[longest] = -(-chunk[longest] // 2)
    return tuple(chunk)


def grid_shape(shape: Sequence[int], chunk: Sequence[int]) -> tuple[int, ...]:
    """Count the chunks along each axis."""
    return tuple(-(-length // step) for length, step in zip(shape, chunk, strict=True))


def all_boxes(shape: Sequence[int], chunk: Sequence[int]) -> Iterator[Box]:
    """Go through the boxes of all chunks, last axis fastest; those at the far ends may be smaller."""
    axes = (
        [(start, min(start + step, length)) for start in range(0, length, step)]
        for length, step in zip(shape, chunk, strict=True)
    )
    return itertools.product(*axes)


def touched(shape: Sequence[int], chunk: Sequence[int], box: Box) -> Iterator[tuple[int, Box]]:
    """Go through the chunks that a box, which is not empty and inside, has voxels of.

    Yields:
        tuple[int, Box]: Place of the chunk in the order of :func:`all_boxes`, and its box.
    """
    grid = grid_shape(shape, chunk)
    ranges = (range(start // step, -(-stop // step)) for (start, stop), step in zip(box, chunk, strict=True))
    for place in itertools.product(*ranges):
        number = 0
        for index, count in zip(place, grid, strict=True):
            number = number * count + index
        yield (
            number,
            tuple(
                (index * step, min((index + 1) * step, length))
                for index, step, length in zip(place, chunk, shape, strict=True)
            ),
        )


def slices(box: Box, origin: Box | None = None) -> tuple[slice, ...]:
    """Turn a box into an index, counted from the start of another one."""
    starts = [0] * len(box) if origin is None else [start for start, _ in origin]
    return tuple(slice(start - zero, stop - zero) for (start, stop), zero in zip(box, starts, strict=True))


def overlap(a: Box, b: Box) -> Box:
    """Cut two boxes that have voxels in common with each other."""
    return tuple((max(i, k), min(j, m)) for (i, j), (k, m) in zip(a, b, strict=True))
