"""The same binary mask in the encodings that real releases and re-packed copies of them use."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image


def _one_bit(mask: np.ndarray) -> Image.Image:
    return Image.fromarray(mask)


def _grey(value: int) -> Callable[[np.ndarray], Image.Image]:
    return lambda mask: Image.fromarray(mask.astype(np.uint8) * np.uint8(value))


def _palette(background: tuple[int, int, int], lesion: tuple[int, int, int], swap: bool = False) -> Callable:
    def encode(mask: np.ndarray) -> Image.Image:
        image = Image.fromarray((mask != swap).astype(np.uint8)).convert('P')
        image.putpalette([*lesion, *background] if swap else [*background, *lesion])
        return image

    return encode


def _rgb(mask: np.ndarray) -> Image.Image:
    return Image.fromarray(mask[..., None] * np.array([255, 0, 0], np.uint8))


def _rgba(mask: np.ndarray) -> Image.Image:
    colours = mask[..., None] * np.array([255, 0, 0, 0], np.uint8)
    colours[..., 3] = 255
    return Image.fromarray(colours)


ENCODINGS: dict[str, Callable[[np.ndarray], Image.Image]] = {
    '1-bit': _one_bit,
    'grey 0/1': _grey(1),
    'grey 0/76': _grey(76),
    'grey 0/255': _grey(255),
    'palette': _palette((0, 0, 0), (255, 0, 0)),
    'palette inverted': _palette((0, 0, 0), (255, 255, 255), swap=True),
    'RGB': _rgb,
    'RGBA opaque': _rgba,
}


def write_mask(path: str | Path, mask: np.ndarray, encoding: str) -> None:
    """Write a mask.

    Args:
        path (str or Path): A .tif, .tiff or .png file.
        mask (np.ndarray): shape (H, W), bool.
        encoding (str): A key of ``ENCODINGS``.
    """
    options = {} if str(path).endswith('.png') else {'compression': 'tiff_adobe_deflate'}
    ENCODINGS[encoding](np.asarray(mask, bool)).save(path, **options)
