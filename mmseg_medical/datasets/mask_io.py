"""The one place that decides which pixels of a mask file are lesion.

Rule: **a pixel is lesion if it is visible and not black.** Palettes are applied first and an inverted grey scale is
turned round, so colours decide, never stored indices. A fully transparent pixel is not visible; an opaque alpha
channel decides nothing. A mask shows at most two things, black (or transparent) and one other colour: a picture with
more is a label map, an anti-aliased or a JPEG-compressed mask, and an error rather than a guess. 0/1, 0/76, 0/255 and
0/65535 are therefore the same mask.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

from mmseg_medical.datasets.errors import DataError, data_error
from mmseg_medical.datasets.image_io import read_bytes
from mmseg_medical.datasets.lesions import CLASSES, IGNORE_INDEX

_REMEDY = 'Store the mask losslessly (TIFF or PNG) with black background and one other colour.'
_LABEL_REMEDY = f'Labels are 0..{len(CLASSES) - 1} for {", ".join(CLASSES)}, and {IGNORE_INDEX} for ignored pixels.'


def read_binary_mask(path: str | Path, shape: tuple[int, int] | None = None) -> np.ndarray:
    """Read the mask of one lesion, however it is encoded.

    Args:
        path (str or Path): TIFF, PNG or another lossless image: 1-bit, grey, palette, RGB or RGBA.
        shape (tuple[int, int], optional): Height and width of the image it belongs to.

    Returns:
        np.ndarray: shape (H, W), bool, True at lesion pixels.

    Raises:
        DataError: the file cannot be read, is not a binary mask, or is of another size.
    """
    image = _open(path)
    with image:
        _check_shape(path, image, shape)
        if image.mode == 'P' and 'transparency' not in image.info:
            return _from_palette(path, image)
        return _from_pixels(path, image)


def read_label_map(path: str | Path, shape: tuple[int, int] | None = None) -> np.ndarray:
    """Read a merged label map: the values (of a palette image: the indices) are the labels.

    Args:
        path (str or Path): Single-channel PNG.
        shape (tuple[int, int], optional): Height and width of the image it belongs to.

    Returns:
        np.ndarray: shape (H, W), uint8, labels 0..4 and 255.

    Raises:
        DataError: the file cannot be read, has several channels, another size, or labels outside the class range.
    """
    image = _open(path)
    with image:
        _check_shape(path, image, shape)
        if image.mode not in ('L', 'P', '1'):
            raise data_error(
                path, expected='a single-channel 8-bit label map', found=f'mode {image.mode}', remedy=_LABEL_REMEDY
            )
        labels = np.asarray(image).astype(np.uint8)
    present = np.flatnonzero(np.bincount(labels.reshape(-1), minlength=256))
    wrong = [int(v) for v in present if v >= len(CLASSES) and v != IGNORE_INDEX]
    if wrong:
        raise data_error(
            path, expected=f'labels below {len(CLASSES)}', found=f'values {_few(wrong)}', remedy=_LABEL_REMEDY
        )
    return labels


def _open(path: str | Path) -> Image.Image:
    data = read_bytes(path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter('ignore')  # about size and odd tags; what matters is raised
            image = Image.open(io.BytesIO(data))
            _check_single_page(path, image)
            image.load()
    except DataError:
        raise
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError, EOFError) as error:
        raise data_error(
            path,
            expected='a complete image file',
            found=f'bytes that cannot be decoded ({error})',
            remedy='Copy or download the file again.',
        ) from error
    return image


def _check_single_page(path: str | Path, image: Image.Image) -> None:
    size = image.size
    pages = getattr(image, 'n_frames', 1)
    for page in range(1, pages):
        image.seek(page)
        if image.size == size:  # smaller pages are previews
            raise data_error(path, expected='one page', found=f'{pages} pages', remedy='Split the TIFF file.')
    image.seek(0)


def _check_shape(path: str | Path, image: Image.Image, shape: tuple[int, int] | None) -> None:
    found = (image.size[1], image.size[0])
    if shape is not None and found != tuple(shape):
        raise data_error(
            path,
            expected=f'{shape[0]} x {shape[1]} pixels (height x width) as its image has',
            found=f'{found[0]} x {found[1]}',
            remedy='Take image and mask from the same release of the data set.',
        )


def _from_palette(path: str | Path, image: Image.Image) -> np.ndarray:
    indices = np.asarray(image)
    used = np.flatnonzero(np.bincount(indices.reshape(-1), minlength=256))
    palette = np.array(image.getpalette('RGB') or [], np.uint8).reshape(-1, 3)
    colours = np.zeros(256, np.uint32)
    colours[: len(palette)] = _colour_codes(palette[:256])
    if len(used) > 1 and len(np.unique(colours[used])) == 1:
        raise data_error(
            path,
            expected='a palette that tells lesion from background',
            found=f'indices {_few(used)} with one colour',
            remedy=_REMEDY,
        )
    _check_two_colours(path, colours[used], image.mode)
    return (colours != 0)[indices]


def _from_pixels(path: str | Path, image: Image.Image) -> np.ndarray:
    if image.mode in ('P', 'PA'):
        image = image.convert('RGBA')
    if image.mode not in ('1', 'L', 'I', 'F', 'I;16', 'I;16B', 'LA', 'RGB', 'RGBA'):
        raise data_error(path, expected='a grey, palette or RGB mask', found=f'mode {image.mode}', remedy=_REMEDY)
    pixels = np.asarray(image)
    if image.mode in ('LA', 'RGBA'):
        colours = _colour_codes(pixels[..., :-1])
        colours = _hide_transparent(path, colours, pixels[..., -1])
    else:
        colours = _colour_codes(pixels) if image.mode == 'RGB' else pixels
    _check_two_colours(path, colours, image.mode)
    return colours != 0


def _colour_codes(pixels: np.ndarray) -> np.ndarray:
    """One number a colour, 0 for black: (..., K) uint8 to (...) uint32."""
    codes = np.zeros(pixels.shape[:-1], np.uint32)
    for channel in range(pixels.shape[-1]):
        codes = (codes << 8) | pixels[..., channel]
    return codes


def _hide_transparent(path: str | Path, colours: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    opaque = alpha == 255
    if opaque.all():
        return colours
    if (alpha[~opaque] != 0).any():
        found = 'partly transparent pixels'
    elif (colours != 0).any() or opaque.any():
        visible = np.where(opaque, colours, 0)
        if (visible != 0).any():
            return visible
        found = 'transparency over a picture with nothing but black in it'
    else:
        return colours
    raise data_error(path, expected='a lesion drawn in an opaque colour', found=found, remedy=_REMEDY)


def _check_two_colours(path: str | Path, colours: np.ndarray, mode: str) -> None:
    if not colours.size:
        return
    brightest = colours.max()
    if not ((colours == 0) | (colours == brightest)).all():
        values = np.unique(colours)
        shown = values if mode in ('1', 'L', 'I', 'F', 'I;16', 'I;16B') else [f'#{v:06x}' for v in values]
        raise data_error(
            path,
            expected='a binary mask, black and one other colour',
            found=f'{len(values)} colours or levels: {_few(shown)}',
            remedy=f'{_REMEDY} A merged label map belongs into ann_dir of the merged layout.',
        )


def _few(values: Iterable[object], limit: int = 6) -> str:
    listed = [str(v) for v in values]
    return ', '.join(listed[:limit]) + (', ...' if len(listed) > limit else '')
