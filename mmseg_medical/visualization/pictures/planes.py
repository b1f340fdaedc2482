"""A slice or a photograph as it is drawn: grey or colours, and its segmentations in true proportions."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mmseg_medical.visualization.overlay import draw_segmentation, shrink_image
from mmseg_medical.visualization.palette import Color
from mmseg_medical.visualization.pictures.case import PictureCase, Structures
from mmseg_medical.visualization.pictures.choosing import Choice
from mmseg_medical.visualization.slices import (
    contrast_of,
    grey_picture,
    label_picture,
    plane_size,
    slice_plane,
)

_DARK: Color = (35, 35, 59)


@dataclass(frozen=True, eq=False)
class Plane:
    """Pixels of one slice.

    Attributes:
        picture (np.ndarray): shape (h, w, 3), uint8, RGB.
        truth (np.ndarray | None): labels (1, H, W) or masks (K, H, W), on the picture's grid or a finer one.
        pred (np.ndarray | None): likewise.
        structures (Structures): What labels mean.
        values (np.ndarray): shape (rows, columns) or (rows, columns, 3): the image itself.
        extent_mm (tuple[float, float] | None): Width and height of the slice.
    """

    picture: np.ndarray
    truth: np.ndarray | None
    pred: np.ndarray | None
    structures: Structures
    values: np.ndarray
    extent_mm: tuple[float, float] | None = None

    def overlay(self, segmentation: np.ndarray, alpha: float, contour: int = 0) -> np.ndarray:
        """Draw a segmentation over the picture."""
        return draw_segmentation(self.picture, segmentation, self.structures.colors, alpha, contour)

    def mask(self, segmentation: np.ndarray) -> np.ndarray:
        """Draw a segmentation alone, on dark."""
        empty = np.broadcast_to(np.array(_DARK, np.uint8), self.picture.shape)
        return draw_segmentation(empty, segmentation, self.structures.colors, 1.0, 0)


def cut(choice: Choice, axis: int, side: int, contrast: tuple[float, float] | None = None) -> Plane:
    """Cut a slice out of its case.

    Args:
        choice (Choice): Case and slice.
        axis (int): Axis across the slice.
        side (int): Longer side of the picture at most, in pixels; volumes are enlarged to it.
        contrast (tuple[float, float] | None): Values drawn black and white; None takes percentiles of the volume.
    """
    case = choice.case
    if choice.index is None:
        return _flat(case, side)
    values = slice_plane(case.image.array, axis, choice.index)
    spacing = case.image.spacing_mm
    columns, rows = (a for a in range(3) if a != axis)
    distances = None if spacing is None else (spacing[rows], spacing[columns])
    size = plane_size(values.shape, distances, side)
    extent = None if distances is None else (values.shape[1] * distances[1], values.shape[0] * distances[0])

    def planes(segmentation: np.ndarray | None) -> np.ndarray | None:
        if segmentation is None:
            return None
        return np.stack([label_picture(slice_plane(one, axis, choice.index or 0), size) for one in segmentation])

    grey = grey_picture(values, size, contrast or contrast_of(case.image.array))
    return Plane(grey, planes(case.truth), planes(case.pred), case.structures, values, extent)


def _flat(case: PictureCase, side: int) -> Plane:
    array = case.image.array
    if not case.image.has_channels:
        array = grey_picture(array, array.shape, contrast_of(array))
    return Plane(shrink_image(array, side), case.truth, case.pred, case.structures, array)


def padded(picture: np.ndarray, height: int, width: int, color: Color = (26, 26, 46)) -> np.ndarray:
    """Put a picture into the middle of a box, (height, width, 3)."""
    box = np.empty((height, width, 3), np.uint8)
    box[:] = color
    top, left = (height - picture.shape[0]) // 2, (width - picture.shape[1]) // 2
    box[top : top + picture.shape[0], left : left + picture.shape[1]] = picture
    return box
