"""Pictures of single slices of a volume."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from mmseg_medical.geometry import Volume, read_volume

# Intensities below and above these percentiles are drawn black and white.
_CONTRAST = (0.5, 99.5)


def densest_slice(masks: Sequence[np.ndarray], axis: int) -> int:
    """Find the slice with most foreground.

    Args:
        masks (Sequence[np.ndarray]): Label maps (I, J, K); the first that has foreground decides.
        axis (int): Axis across the slices.

    Returns:
        int: Index along ``axis``; the middle if no mask has foreground.
    """
    others = tuple(a for a in range(3) if a != axis % 3)
    for mask in masks:
        area = np.count_nonzero(mask, axis=others)
        if area.any():
            return int(area.argmax())
    return masks[0].shape[axis] // 2


def slice_plane(array: np.ndarray, axis: int, index: int) -> np.ndarray:
    """Cut a slice and turn it as it is looked at.

    Args:
        array (np.ndarray): shape (I, J, K).
        axis (int): Axis across the slice.
        index (int): Place along it.

    Returns:
        np.ndarray: shape (rows, columns): of the two axes left, the first grows to the right, the second upwards.
    """
    return np.rot90(np.take(array, index, axis=axis))


def plane_size(shape: Sequence[int], spacing: Sequence[float] | None, side: int) -> tuple[int, int]:
    """Rows and columns of a picture of a plane whose longer side has ``side`` pixels, in its true proportions.

    Args:
        shape (Sequence[int]): Rows and columns of the plane.
        spacing (Sequence[float] | None): Distance of rows and of columns in mm; None for equal ones.
        side (int): In pixels.
    """
    rows, columns = (n * s for n, s in zip(shape, spacing or (1.0, 1.0), strict=True))
    scale = side / max(rows, columns)
    return max(1, round(rows * scale)), max(1, round(columns * scale))


def grey_picture(plane: np.ndarray, size: tuple[int, int], contrast: tuple[float, float] | None = None) -> np.ndarray:
    """Draw intensities in grey.

    Args:
        plane (np.ndarray): shape (rows, columns).
        size (tuple[int, int]): Rows and columns of the picture.
        contrast (tuple[float, float] | None): Values drawn black and white; None takes percentiles of the plane.

    Returns:
        np.ndarray: shape (*size, 3), uint8.
    """
    low, high = contrast or contrast_of(plane)
    values = np.nan_to_num(plane.astype(np.float32), nan=low, posinf=high, neginf=low)
    scaled = np.clip((values - low) / max(high - low, 1e-12), 0, 1)
    picture = cv2.resize(np.ascontiguousarray(scaled), size[::-1], interpolation=cv2.INTER_LINEAR)
    return np.repeat((picture * 255).round().astype(np.uint8)[..., None], 3, axis=2)


def contrast_of(array: np.ndarray) -> tuple[float, float]:
    """Values that are drawn black and white: percentiles 0.5 and 99.5 of all numbers; 0 and 0 where there is none."""
    finite = array if array.dtype.kind in 'iu' else array[np.isfinite(array)]
    low, high = np.percentile(finite, _CONTRAST) if finite.size else (0.0, 0.0)
    return float(low), float(high)


def label_picture(plane: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Enlarge or shrink labels (rows, columns) to ``size`` by nearest neighbours; int32."""
    labels = np.ascontiguousarray(plane, np.int32)
    return cv2.resize(labels, size[::-1], interpolation=cv2.INTER_NEAREST_EXACT)


def draw_slice(path: str | Sequence[str], panels: dict[str, np.ndarray], side: int, channel: int = 0) -> np.ndarray:
    """Draw the slice across the last axis that has most of the last panel's foreground.

    Args:
        path (str | Sequence[str]): File of the image; of several the first is drawn.
        panels (dict[str, np.ndarray]): Name to labels (1, I, J, K) or masks (K, I, J, K) on the grid of the file;
            replaced by their slices, (1 or K, *size).
        side (int): Longer side of the picture, in pixels.
        channel (int): Which channel or time of the file is drawn, where it has several.

    Returns:
        np.ndarray: The slice in grey, shape (*size, 3), uint8.

    Raises:
        OSError, ValueError: The image cannot be read, or has another size than the panels.
    """
    volume = read_volume(path if isinstance(path, str) else path[0])
    image = volume.array[..., channel] if volume.has_channels else volume.array
    index = densest_slice([np.max(masks, axis=0) for masks in reversed(panels.values())], axis=2)
    if any(masks.shape[1:] != image.shape for masks in panels.values()):
        raise ValueError(f'{volume.name} has size {image.shape}, the masks have another one')
    plane = slice_plane(image, 2, index)
    size = plane_size(plane.shape, _plane_spacing(volume), side)
    for name, masks in panels.items():
        panels[name] = np.stack([label_picture(slice_plane(mask, 2, index), size) for mask in masks])
    return grey_picture(plane, size, contrast_of(image))


def _plane_spacing(volume: Volume) -> tuple[float, float] | None:
    spacing = volume.spacing_mm
    return None if spacing is None else (spacing[1], spacing[0])
