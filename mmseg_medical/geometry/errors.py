"""What is said about files that cannot be used, and the check that comes before memory is taken."""

from __future__ import annotations

import zlib
from pathlib import Path

from mmseg_medical.errors import expectation

COPY_AGAIN = 'Copy or download the file again.'
# No deflate stream is shorter than its content by more than this (zlib.net/zlib_tech.html: 1032 to 1).
_DEFLATE_RATIO = 1040
_PIECE = 1 << 20


def file_error(path: str | Path, *, expected: str, found: str, remedy: str = '') -> ValueError:
    """Word the error about a file: what it should have been, what it is, what the user can do."""
    return ValueError(expectation(path, expected=expected, found=found, remedy=remedy))


def check_claim(path: str | Path, shape: tuple[int, ...], itemsize: int, stored: int, compressed: bool) -> None:
    """Compare what a header claims with the bytes there are.

    Args:
        path (str | Path): The file, for the message.
        shape (tuple[int, ...]): Size that the header claims, components included.
        itemsize (int): Bytes an element.
        stored (int): Bytes of the file behind the header.
        compressed (bool): Whether these are a deflate stream.

    Raises:
        ValueError: An axis has no voxels, or the file is too short to hold them all.
    """
    if not shape or min(shape) < 1:
        raise file_error(path, expected='at least one voxel along each axis', found=f'size {shape} in its header')
    needed = itemsize
    for length in shape:  # Python's integers do not overflow
        needed *= length
    if needed > max(stored, 0) * (_DEFLATE_RATIO if compressed else 1):
        raise file_error(
            path,
            expected=f'{needed} bytes of voxels as its header says (size {shape}, {itemsize} bytes each)',
            found=f'{max(stored, 0)} bytes{" of compressed data, which cannot hold them" if compressed else ""}',
            remedy=COPY_AGAIN,
        )


def inflated_size(path: str | Path, offset: int, most: int) -> int:
    """Unpack a deflate stream, keeping nothing of it.

    Args:
        path (str | Path): File.
        offset (int): First byte of the stream, which has a zlib or gzip header.
        most (int): Bytes after which it is not looked at further.

    Returns:
        int: Bytes that came out of it; more than ``most`` if there are; 0 if it is no such stream. Of a damaged or cut
        stream those of its good part, at most ``most - 1``.
    """
    total, stream = 0, zlib.decompressobj(wbits=47)  # 47: either header
    with Path(path).open('rb') as file:
        file.seek(offset)
        while not stream.eof and total <= most:
            piece = stream.unconsumed_tail or file.read(_PIECE)
            try:
                unpacked = stream.decompress(piece, _PIECE)
            except zlib.error:
                return min(total, most - 1)
            if not piece and not unpacked:
                return min(total, most - 1)
            total += len(unpacked)
    return total
