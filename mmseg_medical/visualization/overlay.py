"""Segmentations drawn over their image, with lesions of a few pixels still visible when the picture shrinks."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from mmseg_medical.visualization.palette import Color

_INK = (32, 33, 36)
_PAPER = (255, 255, 255)


def shrink_mask(mask: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Resize a mask so that a target pixel is set if any source pixel in it is: no structure disappears.

    Args:
        mask (np.ndarray): shape (H, W), bool.
        size (tuple[int, int]): height and width of the result; larger sizes repeat pixels.

    Returns:
        np.ndarray: shape ``size``, bool.
    """
    height, width = size
    if height > mask.shape[0] or width > mask.shape[1]:
        rows = np.arange(height) * mask.shape[0] // height
        columns = np.arange(width) * mask.shape[1] // width
        mask = mask[rows if height > mask.shape[0] else slice(None)]
        mask = mask[:, columns if width > mask.shape[1] else slice(None)]
    small = np.zeros(size, dtype=bool)
    ys, xs = np.nonzero(mask)
    small[ys * height // mask.shape[0], xs * width // mask.shape[1]] = True
    return small


def class_masks(segmentation: np.ndarray, num_classes: int) -> list[np.ndarray]:
    """Mask of each class.

    Args:
        segmentation (np.ndarray): label map of shape (H, W) or (1, H, W), or masks of shape (K, H, W) with values 0
            and 1; other values, such as an ignore label, belong to no class.
        num_classes (int): number K of classes.

    Returns:
        list[np.ndarray]: K masks of shape (H, W), bool.
    """
    if segmentation.ndim == 3 and segmentation.shape[0] == num_classes:
        return [plane == 1 for plane in segmentation]
    labels = segmentation[0] if segmentation.ndim == 3 and segmentation.shape[0] == 1 else segmentation
    if labels.ndim != 2:
        raise ValueError(f'expected a label map (H, W) or ({num_classes}, H, W) masks, got {segmentation.shape}')
    return [labels == k for k in range(num_classes)]


def draw_segmentation(
    image: np.ndarray,
    segmentation: np.ndarray,
    colors: Sequence[Color | None],
    alpha: float = 0.35,
    contour: int = 1,
) -> np.ndarray:
    """Tint each class and draw its outline just outside of it.

    Args:
        image (np.ndarray): shape (h, w, 3), uint8, RGB; not changed.
        segmentation (np.ndarray): see :func:`class_masks`; may be larger than the image.
        colors (Sequence): RGB of each class, None leaves a class out.
        alpha (float): weight of the tint, 0..1.
        contour (int): width of the outline in pixels of ``image``; makes single pixels visible.

    Returns:
        np.ndarray: shape (h, w, 3), uint8, RGB.
    """
    if not 0 <= alpha <= 1:
        raise ValueError(f'alpha must lie in 0..1, got {alpha}')
    canvas = image.astype(np.float32)
    kernel = np.ones((2 * contour + 1, 2 * contour + 1), np.uint8)
    outlines = []
    for mask, color in zip(class_masks(segmentation, len(colors)), colors, strict=True):
        if color is None or not mask.any():
            continue
        small = shrink_mask(mask, image.shape[:2])
        canvas[small] = (1 - alpha) * canvas[small] + alpha * np.array(color, np.float32)
        if contour > 0:
            outlines.append((cv2.dilate(small.astype(np.uint8), kernel).astype(bool) & ~small, color))
    for outline, color in outlines:
        canvas[outline] = color
    return canvas.round().astype(np.uint8)


def side_by_side(
    image: np.ndarray,
    panels: dict[str, np.ndarray],
    classes: Sequence[str],
    colors: Sequence[Color | None],
    max_side: int = 1200,
    title: str = '',
    alpha: float = 0.35,
) -> np.ndarray:
    """One picture: a titled panel for each segmentation, and a legend.

    Args:
        image (np.ndarray): shape (H, W, 3), uint8, RGB.
        panels (dict): title -> segmentation on the image's grid, see :func:`class_masks`.
        classes (Sequence[str]): names of the K classes.
        colors (Sequence): RGB of each class, None leaves a class out.
        max_side (int): longer side of a panel at most, in pixels.
        title (str): line above the panels.
        alpha (float): weight of the tint.

    Returns:
        np.ndarray: shape (h, w, 3), uint8, RGB.
    """
    small = shrink_image(image, max_side)
    height, width = small.shape[:2]
    text = max(11, round(width / 48))
    gap, bar = text, round(2.4 * text)
    total_width = len(panels) * width + (len(panels) + 1) * gap
    sheet = Image.new('RGB', (total_width, 2 * bar + height + bar), _PAPER)
    draw = ImageDraw.Draw(sheet)
    bold, plain = _font(1.15 * text), _font(text)
    draw.text((gap, bar // 2), title, _INK, font=bold, anchor='lm')
    for i, (name, segmentation) in enumerate(panels.items()):
        left = gap + i * (width + gap)
        draw.text((left, bar + bar // 2), name, _INK, font=plain, anchor='lm')
        sheet.paste(Image.fromarray(draw_segmentation(small, segmentation, colors, alpha)), (left, 2 * bar))
    _draw_legend(draw, gap, 2 * bar + height + bar // 2, classes, colors, plain, text)
    return np.asarray(sheet)


def shrink_image(image: np.ndarray, max_side: int) -> np.ndarray:
    """Shrink an image (H, W, 3), uint8, to a longer side of at most ``max_side`` by averaging; never enlarges."""
    height, width = image.shape[:2]
    factor = min(1.0, max_side / max(height, width))
    size = max(1, round(width * factor)), max(1, round(height * factor))
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA) if factor < 1 else image


def _draw_legend(
    draw: ImageDraw.ImageDraw,
    left: float,
    middle: int,
    classes: Sequence[str],
    colors: Sequence[Color | None],
    font: ImageFont.FreeTypeFont | ImageFont.ImageFont,
    text: int,
) -> None:
    for name, color in zip(classes, colors, strict=True):
        if color is None:
            continue
        half = text * 0.4
        draw.rectangle((left, middle - half, left + 2 * half, middle + half), fill=color, outline=_INK)
        left += 2 * half + 0.5 * text
        draw.text((left, middle), name, _INK, font=font, anchor='lm')
        left += draw.textlength(name, font=font) + 1.5 * text


def _font(size: float) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size=size)
