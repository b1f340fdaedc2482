"""What is said about files that cannot be used, and the check that comes before memory is taken."""

from __future__ import annotations

from pathlib import Path

from mmseg_medical.errors import expectation

COPY_AGAIN = 'Copy or download the file again.'
# No deflate stream is shorter than its content by more than this (zlib.net/zlib_tech.html: 1032 to 1).
_DEFLATE_RATIO = 1040


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
