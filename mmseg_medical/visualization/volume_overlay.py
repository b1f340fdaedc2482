"""A picture of an image with its segmentation: of a volume the slice with most foreground across each axis."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import cv2
import numpy as np

from mmseg_medical.files import atomic_write
from mmseg_medical.geometry import Volume, reorient
from mmseg_medical.visualization.overlay import side_by_side
from mmseg_medical.visualization.palette import class_colors
from mmseg_medical.visualization.slices import (
    contrast_of,
    densest_slice,
    grey_picture,
    label_picture,
    plane_size,
    slice_plane,
)

_PLANES = ('sagittal', 'coronal', 'axial')
_SIDE = 480


def write_overlay(image: Volume, masks: Mapping[str, np.ndarray], path: str | Path, title: str = '') -> None:
    """Write :func:`overlay_picture` as PNG, whole or not at all."""
    picture = overlay_picture(image, masks, title)
    with atomic_write(path, 'wb') as file:
        file.write(cv2.imencode('.png', np.ascontiguousarray(picture[:, :, ::-1]))[1].tobytes())


def overlay_picture(image: Volume, masks: Mapping[str, np.ndarray], title: str = '', side: int = _SIDE) -> np.ndarray:
    """Draw structures over an image.

    Args:
        image (Volume): shape (I, J, K) or (I, J), or with channels, of which the first is drawn; (H, W, 3), uint8, is
            taken for a photograph in RGB.
        masks (Mapping[str, np.ndarray]): Name to mask, bool, of the size of the image.
        title (str): Line above.
        side (int): Longer side of a panel, in pixels.

    Returns:
        np.ndarray: shape (h, w, 3), uint8, RGB: a panel across each axis, in anatomical directions where they are
        known, and a legend.

    Raises:
        ValueError: A mask has another size than the image.
    """
    for name, mask in masks.items():
        if mask.shape != image.size:
            raise ValueError(f'{image.name} has size {image.size}, the mask {name!r} has {mask.shape}')
    names = list(masks)
    colors = class_colors(names)
    if image.rank == 2:
        stacked = np.stack(list(masks.values())).astype(np.uint8)
        return side_by_side(_plane_picture(image), {'': stacked}, names, colors, title=title, max_side=2 * side)
    volumes = {name: Volume(mask.astype(np.uint8), image.affine) for name, mask in masks.items()}
    grey = Volume(image.array[..., 0] if image.has_channels else image.array, image.affine, image.source)
    if image.affine is not None:
        grey = reorient(grey, 'RAS')
        volumes = {name: reorient(volume, 'RAS') for name, volume in volumes.items()}
    union = np.logical_or.reduce([volume.array > 0 for volume in volumes.values()])
    tiles, labels = [], []
    for axis in range(3):
        index = densest_slice([union], axis)
        tile, planes = _slice_tile(grey, [volume.array for volume in volumes.values()], axis, index, side)
        tiles.append(tile)
        labels.append(planes)
    return _sheet(tiles, labels, names, title, image.affine is not None)


def _slice_tile(
    grey: Volume, masks: list[np.ndarray], axis: int, index: int, side: int
) -> tuple[np.ndarray, np.ndarray]:
    plane = slice_plane(grey.array, axis, index)
    spacing = grey.spacing_mm
    others = [a for a in range(3) if a != axis]
    rows_columns = None if spacing is None else (spacing[others[1]], spacing[others[0]])
    size = plane_size(plane.shape, rows_columns, side)
    tile = grey_picture(plane, size, contrast_of(grey.array))
    planes = [label_picture(slice_plane(mask, axis, index), size) for mask in masks]
    return tile, np.stack(planes)


def _sheet(tiles: list[np.ndarray], labels: list[np.ndarray], names: list[str], title: str, placed: bool) -> np.ndarray:
    """Panels on one height; the drawing of titles and legend is that of a photograph with one panel."""
    colors = class_colors(names)
    height = max(tile.shape[0] for tile in tiles)
    gap = 12
    width = sum(tile.shape[1] for tile in tiles) + gap * (len(tiles) - 1)
    canvas = np.zeros((height, width, 3), np.uint8)
    masks = np.zeros((len(names), height, width), np.uint8)
    left = 0
    for tile, planes in zip(tiles, labels, strict=True):
        top = (height - tile.shape[0]) // 2
        place = slice(top, top + tile.shape[0]), slice(left, left + tile.shape[1])
        canvas[place] = tile
        masks[(slice(None), *place)] = planes
        left += tile.shape[1] + gap
    heading = ', '.join(_PLANES if placed else ('across the first axis', 'the second', 'the third'))
    return side_by_side(canvas, {heading: masks}, names, colors, title=title, max_side=max(height, width))


def _plane_picture(image: Volume) -> np.ndarray:
    array = image.array
    if image.has_channels and array.shape[-1] == 3 and array.dtype == np.uint8:
        return np.ascontiguousarray(array)
    plane = array[..., 0] if image.has_channels else array
    return grey_picture(plane, plane.shape, contrast_of(plane))
