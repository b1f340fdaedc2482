"""Slices across all three axes, in millimetres and with the directions of the patient."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import cv2
import numpy as np

from mmseg_medical.errors import ConfigError
from mmseg_medical.visualization.pictures.case import PictureCase, no_foreground
from mmseg_medical.visualization.pictures.choosing import PLANES, Choice, check_slice, plane_name, spread_slices
from mmseg_medical.visualization.pictures.dark import INK, LINE, SOFT, dark_panels, footer_of, legend, plain, unit
from mmseg_medical.visualization.pictures.planes import Plane, cut

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_ROWS = (2, 1, 0)  # axial, coronal, sagittal
# at the left, right, bottom and top of the plane across each axis
_MARKS = {0: 'PAIS', 1: 'LRIS', 2: 'LRPA'}
_CLIP_LIMIT, _TILES = 2.0, 8
# ratio of its sides from which on a slice is too thin for letters
_THIN = 0.15


def multiplanar_figure(
    case: PictureCase,
    slices: Mapping[int, Sequence[int]] | None = None,
    which: str | None = None,
    count: int = 3,
    alpha: float = 0.6,
    side: int = 420,
    title: str = '',
) -> Figure:
    """Draw axial, coronal and sagittal slices, one row each.

    The contrast is equalised within each slice (CLAHE), so that greys of different slices do not compare. Of truth
    and prediction the truth is filled and the prediction's border, at one half, is drawn white.

    Args:
        case (PictureCase): A volume, with a segmentation.
        slices (Mapping | None): Axis to indices; an axis that is not named gets slices with foreground.
        which (str | None): ``'truth'`` or ``'pred'`` draws one alone.
        count (int): Slices of an axis that are chosen.
        alpha (float): Weight of the colours.
        side (int): Longer side of a slice, in pixels.
        title (str): Line above.

    Raises:
        ConfigError: It is a photograph.
        DataError: There is no segmentation, or no foreground to choose slices by.
        ValueError: The case has no such slice.
    """
    if case.image.rank != 3:
        raise ConfigError(f'case {case.case_id} has two axes; multiplanar needs a volume. grid and detail draw it.')
    segmentation = case.shown(which)
    rows = {axis: _indices(case, segmentation, axis, slices or {}, count, which) for axis in _ROWS}
    columns = max(map(len, rows.values()))
    planes = {axis: [cut(Choice(case, index), axis, side) for index in rows[axis]] for axis in _ROWS}
    both = which is None and case.truth is not None and case.pred is not None
    note = 'Contrast equalised in each slice (CLAHE). '
    one = 'Truth.' if segmentation is case.truth else 'Prediction.'
    note += ('Filled: truth. White line: prediction.' if both else one) + _oblique(case.image.affine)
    shown = (segmentation for row in planes.values() for plane in row for segmentation in (plane.truth, plane.pred))
    entries = case.structures.entries(*(one for one in shown if one is not None))
    widest = max(plane.picture.shape[1] / plane.picture.shape[0] for row in planes.values() for plane in row)
    height = min(3.1, 3.0 / min(widest, 2.0) + 0.55)
    footer = footer_of(entries, 3.2 * columns, note)
    figure, panels = dark_panels(3 * columns, 3.2, height, columns, title or case.case_id, footer)
    for row, axis in enumerate(_ROWS):
        for column in range(columns):
            axes = panels[row * columns + column]
            if column >= len(planes[axis]):
                axes.set_axis_off()
                continue
            plane = planes[axis][column]
            planar = plane.pred if segmentation is case.pred else plane.truth
            line = plane.pred if both else planar
            index = rows[axis][column]
            _draw(axes, case, plane, axis, index, (planar, line, alpha))
            axes.set_title(_heading(case, axis, index), fontsize=9.5, color=INK, pad=4)
    legend(figure, entries, note)
    return figure


def _oblique(affine: np.ndarray | None) -> str:
    """Say by how much the axes of a file are turned from those of the patient, from one degree on."""
    if affine is None:
        return ''
    directions = np.abs(affine[:3, :3]) / np.linalg.norm(affine[:3, :3], axis=0)
    degrees = float(np.degrees(np.arccos(np.clip(directions.max(axis=0).min(), 0, 1))))
    return '' if degrees < 1 else f' Slices as in the file, {degrees:.0f}° oblique; places are of their centres.'


def _indices(
    case: PictureCase,
    segmentation: np.ndarray,
    axis: int,
    slices: Mapping[int, Sequence[int]],
    count: int,
    which: str | None,
) -> list[int]:
    if axis in slices:
        for index in slices[axis]:
            check_slice(case, axis, index)
        return list(slices[axis])
    mask = case.structures.foreground(segmentation)
    if not mask.any():
        raise no_foreground(f'case {case.case_id}', which or 'a segmentation')
    return spread_slices(mask, axis, count)


def _heading(case: PictureCase, axis: int, index: int) -> str:
    if case.image.affine is None:
        return f'{plane_name(case, axis)} {index}'
    middle = [(n - 1) / 2 for n in case.image.size]
    middle[axis] = index
    place = float((case.image.affine @ [*middle, 1.0])[axis])
    sign = '−' if place < 0 else ''
    return f'{PLANES[axis].capitalize()} {index}  ({"RAS"[axis]} {sign}{abs(place):.1f} mm)'


def _draw(
    axes: Axes,
    case: PictureCase,
    plane: Plane,
    axis: int,
    index: int,
    layers: tuple[np.ndarray | None, np.ndarray | None, float],
) -> None:
    fill, line, alpha = layers
    picture = Plane(equalised(plane.picture), None, None, case.structures, plane.values)
    shown = picture.picture if fill is None else picture.overlay(fill, alpha)
    width, height = plane.extent_mm or (plane.values.shape[1], plane.values.shape[0])
    axes.imshow(shown, extent=(0, width, 0, height), interpolation='nearest')
    if line is not None:
        _contours(axes, case, line, (width, height), white=line is not fill)
    axes.tick_params(labelsize=7, length=2, colors=SOFT, pad=2)
    axes.locator_params(nbins=4, steps=[1, 2, 5, 10])
    thin = (width < _THIN * height, height < _THIN * width)
    for axis_of_page, is_thin, extent in zip((axes.xaxis, axes.yaxis), thin, (width, height), strict=True):
        if is_thin:  # more numbers would lie on each other
            axis_of_page.set_ticks([extent], labels=[f'{extent:.3g}'])
    for spine in axes.spines.values():
        spine.set(visible=True, color=LINE, linewidth=0.8)
    axes.set_xlabel('mm' if plane.extent_mm else 'voxels', fontsize=7, labelpad=1, color=SOFT)
    if case.image.affine is not None:
        _direction_marks(axes, _MARKS[axis], thin)


def _contours(axes: Axes, case: PictureCase, line: np.ndarray, size: tuple[float, float], white: bool) -> None:
    rows, columns = line.shape[1:]
    if min(rows, columns) < 2:
        return
    x = (np.arange(columns) + 0.5) / columns * size[0]
    y = size[1] - (np.arange(rows) + 0.5) / rows * size[1]
    for k in case.structures.drawn:
        mask = case.structures.mask(line, k).astype(np.float32)
        color = case.structures.colors[k]
        if mask.any() and not mask.all() and color is not None:
            axes.contour(x, y, mask, [0.5], colors='white' if white else [unit(color)], linewidths=1.1)


def _direction_marks(axes: Axes, letters: str, thin: tuple[bool, bool]) -> None:
    places = ((0.035, 0.5), (0.965, 0.5), (0.5, 0.045), (0.5, 0.955))
    for letter, (x, y) in zip(letters, places, strict=True):
        if thin[0 if y == 0.5 else 1]:
            continue  # they would hide the slice
        axes.text(
            x, y, plain(letter), transform=axes.transAxes, ha='center', va='center', fontsize=8.5, fontweight='bold',
            color='#ffd166', bbox=dict(boxstyle='round,pad=0.12', facecolor='black', alpha=0.45, linewidth=0),
        )  # fmt: skip


def equalised(picture: np.ndarray) -> np.ndarray:
    """Equalise the contrast of a grey picture (h, w, 3), uint8, within tiles (CLAHE, Zuiderveld 1994)."""
    tiles = (min(_TILES, picture.shape[1]), min(_TILES, picture.shape[0]))
    grey = cv2.createCLAHE(_CLIP_LIMIT, tiles).apply(np.ascontiguousarray(picture[..., 0]))
    return np.repeat(grey[..., None], 3, axis=2)
