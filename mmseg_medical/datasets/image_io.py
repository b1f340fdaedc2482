"""Reading photographs: header, truncation check, decoding at a reduced scale."""

from __future__ import annotations

import io
from pathlib import Path

import cv2
import numpy as np
from PIL import Image, UnidentifiedImageError

from mmseg_medical.datasets.errors import data_error

REDUCTIONS = (8, 4, 2, 1)  # what libjpeg offers through OpenCV
# The grid of an image is that of its file: masks carry no orientation tag, so a photograph must not be turned either.
_DECODE_FLAG = {
    1: cv2.IMREAD_COLOR,
    2: cv2.IMREAD_REDUCED_COLOR_2,
    4: cv2.IMREAD_REDUCED_COLOR_4,
    8: cv2.IMREAD_REDUCED_COLOR_8,
}
_REMEDY = 'Copy or download the file again.'
_STANDALONE_MARKERS = {0x01, *range(0xD0, 0xD8)}


def read_bytes(path: str | Path) -> bytes:
    """Read a whole file.

    Raises:
        DataError: it does not exist or is empty.
    """
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise data_error(
            path,
            expected='a readable file',
            found=error.strerror or str(error),
            remedy='Check the path, data_root in the config, and permissions.',
        ) from error
    if not data:
        raise data_error(path, expected='an image', found='a file of zero bytes', remedy=_REMEDY)
    return data


def is_jpeg(data: bytes) -> bool:
    """Whether ``data`` begins as a JPEG file does."""
    return data[:3] == b'\xff\xd8\xff'


def jpeg_is_complete(data: bytes) -> bool:
    """Whether the picture in a JPEG file reaches its end marker.

    Decoders fill the missing part of a truncated file with grey and go on, OpenCV with no more than a line on the
    console. In entropy-coded data 0xFF is always followed by 0 or a restart marker, so an end marker behind the first
    start-of-scan is the picture's own: embedded previews lie before it. Bytes behind the end marker are legal.
    """
    position = 2
    while position + 4 <= len(data):
        if data[position] != 0xFF:
            return False
        marker = data[position + 1]
        if marker == 0xFF:  # fill byte
            position += 1
            continue
        if marker in _STANDALONE_MARKERS:
            position += 2
            continue
        if marker == 0xDA:
            return data.rfind(b'\xff\xd9', position + 2) >= 0
        position += 2 + int.from_bytes(data[position + 2 : position + 4], 'big')
    return False


def image_size(data: bytes, path: str | Path) -> tuple[int, int]:
    """Height and width from the header, in pixels, as stored in the file.

    Raises:
        DataError: the header cannot be read.
    """
    try:
        with Image.open(io.BytesIO(data)) as image:
            width, height = image.size
    except (UnidentifiedImageError, OSError, SyntaxError) as error:
        raise data_error(
            path, expected='an image', found=f'bytes that no decoder knows ({error})', remedy=_REMEDY
        ) from error
    return height, width


def choose_reduction(native: tuple[int, int], wanted: tuple[int, int]) -> int:
    """Largest reduction of JPEG decoding that still yields at least ``wanted``.

    Args:
        native (tuple[int, int]): Height and width in the file.
        wanted (tuple[int, int]): Height and width after resizing.

    >>> choose_reduction((2848, 4288), (956, 1440))
    2
    """
    for reduction in REDUCTIONS:
        if all(-(-have // reduction) >= want for have, want in zip(native, wanted, strict=True)):
            return reduction
    return 1


def decode_image(data: bytes, path: str | Path, reduction: int = 1) -> np.ndarray:
    """Decode a photograph.

    Args:
        data (bytes): Content of the file.
        path (str or Path): Its name, for messages.
        reduction (int): 1, 2, 4 or 8: decode a JPEG at this fraction of its size, which skips most of the work.
            Other formats are decoded in full whatever is asked.

    Returns:
        np.ndarray: shape (H, W, 3), uint8, BGR; H and W are the native ones divided by ``reduction``, rounded up.

    Raises:
        DataError: the file is truncated or cannot be decoded.
    """
    jpeg = is_jpeg(data)
    if jpeg and not jpeg_is_complete(data):
        raise data_error(path, expected='a complete JPEG file', found='a truncated one', remedy=_REMEDY)
    if not jpeg:
        return _decode_strictly(data, path)
    flag = _DECODE_FLAG[reduction] | cv2.IMREAD_IGNORE_ORIENTATION
    image = cv2.imdecode(np.frombuffer(data, np.uint8), flag)
    if image is None:
        raise data_error(path, expected='a JPEG image', found='bytes that cannot be decoded', remedy=_REMEDY)
    return image


def _decode_strictly(data: bytes, path: str | Path) -> np.ndarray:
    # Pillow raises on truncated PNG and TIFF, where OpenCV returns what it has
    try:
        with Image.open(io.BytesIO(data)) as image:
            rgb = np.asarray(image.convert('RGB'))
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError) as error:
        raise data_error(path, expected='a complete image', found=f'a damaged one ({error})', remedy=_REMEDY) from error
    return np.ascontiguousarray(rgb[:, :, ::-1])
