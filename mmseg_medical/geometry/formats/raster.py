"""PNG, BMP and TIFF through Pillow, without geometry: what they say of resolution is about paper."""

from __future__ import annotations

import struct
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

from mmseg_medical.files import atomic_path
from mmseg_medical.geometry.errors import COPY_AGAIN, check_claim, file_error
from mmseg_medical.geometry.volume import Volume

_FORMATS = {'.png': 'PNG', '.bmp': 'BMP', '.tif': 'TIFF', '.tiff': 'TIFF'}
_GREY = ('1', 'L', 'P', 'I', 'F', 'I;16', 'I;16B', 'I;16L', 'I;16N')
_COLOUR = ('LA', 'RGB', 'RGBA')
_WRITTEN = {'PNG': ('uint8', 'uint16'), 'TIFF': ('uint8', 'uint16', 'int32', 'float32')}


def read(path: Path) -> Volume:
    """Read grey values, palette indices or colours, shape (rows, columns), (..., pages) or (..., channels)."""
    with _decoding(path), path.open('rb') as file, Image.open(file, formats=[_FORMATS[path.suffix.lower()]]) as image:
        if image.mode not in _GREY + _COLOUR:
            raise file_error(path, expected='grey values, palette indices or RGB', found=f'mode {image.mode}')
        grey_step = _grey_step(path, image)
        first = _page(path, image)
        pages = getattr(image, 'n_frames', 1) if image.format == 'TIFF' else 1
        if pages == 1:
            array = first if grey_step == 1 else first // grey_step
            return Volume(array, None, str(path), has_channels=image.mode in _COLOUR)
        mode, arrays = image.mode, [first]
        for number in range(1, pages):
            image.seek(number)
            if image.mode != mode or image.size != first.shape[1::-1]:
                raise file_error(
                    path,
                    expected=f'pages of one kind and size ({mode}, {first.shape[1]} x {first.shape[0]} pixels)',
                    found=f'page {number + 1} of {pages} with {image.mode}, {image.size[0]} x {image.size[1]}',
                )
            arrays.append(_page(path, image))
    return Volume(np.stack(arrays, axis=2), None, str(path), has_channels=mode in _COLOUR)


def write(volume: Volume, path: Path) -> None:
    """Write a PNG, or a TIFF whose pages are the last axis."""
    kind = _FORMATS[path.suffix.lower()]
    array = volume.array.view(np.uint8) if volume.array.dtype == bool else volume.array
    types = ('uint8',) if volume.has_channels else _WRITTEN[kind]
    if array.dtype.name not in types:
        raise ValueError(f'{path}: {kind} holds {" or ".join(types)} here, got {array.dtype}; convert the array first')
    if volume.has_channels and array.shape[-1] not in (3, 4):
        raise ValueError(f'{path}: {kind} holds three or four channels here, got {array.shape[-1]}')
    if volume.rank == 3 and kind == 'PNG':
        raise ValueError(f'{path}: PNG holds two axes, got {volume.size}; write a TIFF or a volume format')
    array = np.asarray(array, array.dtype.newbyteorder('='))
    planes = [array] if volume.rank == 2 else [array[:, :, k] for k in range(array.shape[2])]
    pages = [Image.fromarray(np.ascontiguousarray(plane)) for plane in planes]
    with atomic_path(path) as temporary:  # several pages are read back while they are written
        if kind == 'TIFF':
            pages[0].save(temporary, kind, save_all=True, append_images=pages[1:], compression='tiff_adobe_deflate')
        else:
            pages[0].save(temporary, kind)


@contextmanager
def _decoding(path: Path) -> Iterator[None]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter('ignore')  # about size and odd tags; what matters is raised
            yield
    except (FileNotFoundError, PermissionError):
        raise
    except Image.DecompressionBombError as error:
        raise file_error(path, expected='at most 178 million pixels', found=str(error)) from error
    except UnidentifiedImageError as error:
        kind = _FORMATS[path.suffix.lower()]
        raise file_error(path, expected=f'a {kind} file', found='bytes of something else', remedy=COPY_AGAIN) from error
    except (OSError, SyntaxError, EOFError, ValueError, TypeError, LookupError, MemoryError, struct.error) as error:
        if str(error).startswith(str(path)):  # our own
            raise
        raise file_error(
            path, expected='a complete image file', found=f'a damaged one ({error})', remedy=COPY_AGAIN
        ) from error


def _page(path: Path, image: Image.Image) -> np.ndarray:
    if image.format == 'PNG':
        check_claim(path, image.size, 1, path.stat().st_size * 8, compressed=True)  # 8 pixels a byte at most
    image.load()
    array = np.array(image)
    return array if array.dtype.isnative else array.astype(array.dtype.newbyteorder('='))


def _grey_step(path: Path, image: Image.Image) -> int:
    """Pillow spreads grey values of 2 and 4 bits over 0..255; in a label map they are the labels."""
    if image.format != 'PNG' or image.mode != 'L':
        return 1
    with path.open('rb') as file:
        depth, colour_type = file.read(26)[24:26]
    return {2: 85, 4: 17}.get(depth, 1) if colour_type == 0 else 1
