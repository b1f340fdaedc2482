"""Sheets of slices: grid, overview, and image, truth and prediction side by side."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from mmseg_medical.evaluation.functional.overlap import dice
from mmseg_medical.visualization.palette import Color
from mmseg_medical.visualization.pictures.case import Structures
from mmseg_medical.visualization.pictures.choosing import Choice
from mmseg_medical.visualization.pictures.dark import dark_panels, footer_of, legend, show
from mmseg_medical.visualization.pictures.planes import Plane, cut, padded

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_GAP = 6
# structures whose Dice is written one by one
_LISTED = 3


def grid_figure(
    choices: Sequence[Choice],
    axis: int,
    which: str | None = None,
    columns: int = 3,
    alpha: float = 0.6,
    side: int = 220,
    title: str = '',
) -> Figure:
    """Draw each slice three times: the image, with its structures over it, and these alone.

    Args:
        choices (Sequence[Choice]): What is drawn.
        axis (int): Axis across the slices.
        which (str | None): ``'truth'``, ``'pred'``, or the truth where there is one.
        columns (int): Slices side by side.
        alpha (float): Weight of the colours.
        side (int): Longer side of a slice, in pixels.
        title (str): Line above.
    """
    cells, drawn = [], []
    for choice in choices:
        plane = cut(choice, axis, side)
        segmentation = _of(plane, choice, which)
        drawn.append([segmentation])
        cells.append([plane.picture, plane.overlay(segmentation, alpha, _thin(plane)), plane.mask(segmentation)])
    height, width = _box([tile for cell in cells for tile in cell])
    sheets = [_joined([padded(tile, height, width) for tile in cell]) for cell in cells]
    entries = _entries(zip(choices, drawn, strict=True))
    note = f'Each: image, overlay ({alpha:g}), mask. {_name_of(choices, which)}.'
    panel = 4.3
    shape = sheets[0].shape
    footer = footer_of(entries, panel * min(columns, len(sheets)), note)
    figure, panels = dark_panels(len(sheets), panel, panel * shape[0] / shape[1] + 0.32, columns, title, footer)
    for panel_axes, sheet, choice in zip(panels, sheets, choices, strict=True):
        show(panel_axes, sheet, choice.name(axis))
    legend(figure, entries, note)
    return figure


def overview_figure(
    choices: Sequence[Choice],
    axis: int,
    which: str | None = None,
    columns: int = 5,
    alpha: float = 0.7,
    side: int = 260,
    title: str = '',
) -> Figure:
    """Draw overlays of many cases; arguments as for :func:`grid_figure`."""
    tiles, drawn = [], []
    for choice in choices:
        plane = cut(choice, axis, side)
        drawn.append([_of(plane, choice, which)])
        tiles.append(plane.overlay(drawn[-1][0], alpha, _thin(plane)))
    height, width = _box(tiles)
    entries = _entries(zip(choices, drawn, strict=True))
    note = f'Overlay ({alpha:g}). {_name_of(choices, which)}.'
    panel = 2.35
    footer = footer_of(entries, panel * min(columns, len(tiles)), note)
    figure, panels = dark_panels(len(tiles), panel, panel * height / width + 0.3, columns, title, footer)
    for panel_axes, tile, choice in zip(panels, tiles, choices, strict=True):
        show(panel_axes, padded(tile, height, width), choice.name(axis), 8)
    legend(figure, entries, note)
    return figure


def triplet_figure(
    choices: Sequence[Choice], axis: int, alpha: float = 0.6, side: int = 320, title: str = ''
) -> Figure:
    """Draw image, truth and prediction of each slice in a row, with the Dice of the slice and of the case.

    Args:
        choices (Sequence[Choice]): Cases with truth and prediction.
        axis (int): Axis across the slices.
        alpha (float): Weight of the colours.
        side (int): Longer side of a slice, in pixels.
        title (str): Line above.

    Raises:
        DataError: A case lacks one of them.
    """
    rows, drawn = [], []
    for choice in choices:
        truth, pred = choice.case.both()
        plane = cut(choice, axis, side)
        segmentations = [one for one in (plane.truth, plane.pred) if one is not None]
        drawn.append(segmentations)
        tiles = [plane.picture, *(plane.overlay(one, alpha, _thin(plane)) for one in segmentations)]
        rows.append((tiles, (choice.name(axis), 'truth', _dice_text(choice.case.structures, truth, pred))))
    height, width = _box([tile for tiles, _ in rows for tile in tiles])
    entries = _entries(zip(choices, drawn, strict=True))
    note = f'Overlay ({alpha:g}). Dice of whole cases; a structure that is absent in both has none.'
    panel = 2.4
    footer = footer_of(entries, 3 * panel, note)
    figure, panels = dark_panels(3 * len(rows), panel, panel * height / width + 0.34, 3, title, footer)
    for number, (tiles, names) in enumerate(rows):
        for column in range(3):
            show(panels[3 * number + column], padded(tiles[column], height, width), names[column], 9)
    legend(figure, entries, note)
    return figure


def _dice_text(structures: Structures, truth: np.ndarray, pred: np.ndarray) -> str:
    """Dice of each structure in the order of the legend; of more than three their mean."""
    scores = []
    for number in structures.drawn:
        a, b = structures.mask(pred, number), structures.mask(truth, number)
        tp = int(np.count_nonzero(a & b))
        value = float(dice(np.array([tp]), np.array([a.sum() - tp]), np.array([b.sum() - tp]))[0])
        scores.append(value)
    defined = [value for value in scores if np.isfinite(value)]
    if not defined:
        return 'prediction · Dice undefined'
    if len(scores) > _LISTED:
        return f'prediction · mean Dice {np.mean(defined):.3f}'
    return f'prediction · Dice {" / ".join(f"{value:.3f}" if np.isfinite(value) else "–" for value in scores)}'


def _of(plane: Plane, choice: Choice, which: str | None) -> np.ndarray:
    choice.case.shown(which)  # says what is missing
    first, second = (plane.pred, plane.truth) if which == 'pred' else (plane.truth, plane.pred)
    found = first if first is not None else second
    if found is None:
        raise ValueError(f'case {choice.case.case_id} has no segmentation')
    return found


def _name_of(choices: Sequence[Choice], which: str | None) -> str:
    truth = which != 'pred' and all(choice.case.truth is not None for choice in choices)
    return 'Ground truth' if truth else 'Prediction'


def _thin(plane: Plane) -> int:
    """An outline where photographs are shrunk, so that lesions of a few pixels are seen."""
    return 1 if plane.values.ndim == 3 else 0


def _box(tiles: Sequence[np.ndarray]) -> tuple[int, int]:
    return max(tile.shape[0] for tile in tiles), max(tile.shape[1] for tile in tiles)


def _joined(tiles: Sequence[np.ndarray]) -> np.ndarray:
    gap = padded(np.empty((0, 0, 3), np.uint8), tiles[0].shape[0], _GAP)
    pieces = [piece for tile in tiles for piece in (tile, gap)][:-1]
    return np.concatenate(pieces, axis=1)


def _entries(drawn: Iterable[tuple[Choice, Sequence[np.ndarray]]]) -> list[tuple[str, Color]]:
    found: dict[str, Color] = {}
    for choice, segmentations in drawn:
        found |= dict(choice.case.structures.entries(*segmentations))
    return list(found.items())
