"""One slice in detail: values, overlay, mask, and numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from mmseg_medical.visualization.canvas import number
from mmseg_medical.visualization.pictures.case import PictureCase
from mmseg_medical.visualization.pictures.choosing import Choice
from mmseg_medical.visualization.pictures.dark import INK, LINE, PANEL, SOFT, dark_panels, plain, show, unit
from mmseg_medical.visualization.pictures.planes import Plane, cut
from mmseg_medical.visualization.slices import contrast_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_ROWS = 14
# classes of the bar at most: their names stand one above the other
_MOST_BARS = 24


def detail_figure(
    choice: Choice, axis: int, which: str | None = None, alpha: float = 0.5, side: int = 640, title: str = ''
) -> Figure:
    """Draw a slice with a bar of its values, the overlay, the mask with a bar of classes, and a panel of numbers.

    Args:
        choice (Choice): What is drawn.
        axis (int): Axis across the slice.
        which (str | None): ``'truth'``, ``'pred'``, or the truth where there is one.
        alpha (float): Weight of the colours.
        side (int): Longer side of the slice, in pixels.
        title (str): Line above.
    """
    case = choice.case
    segmentation = case.shown(which)
    plane = cut(choice, axis, side)
    planar = plane.pred if segmentation is case.pred else plane.truth
    if planar is None:
        raise ValueError(f'case {case.case_id} has no segmentation')
    proportion = plane.picture.shape[0] / plane.picture.shape[1]
    figure, (image, overlay, mask, text) = dark_panels(
        4, 4.6, min(5.6, max(2.6, 3.9 * proportion + 0.4)), 2, title or choice.name(axis)
    )
    show(image, plane.picture, 'Image')
    _value_bar(figure, image, case, plane)
    thin = 1 if case.image.has_channels else 0
    show(overlay, plane.overlay(planar, alpha, thin), f'Overlay ({alpha:g})')
    show(mask, plane.mask(planar), 'Ground truth' if segmentation is case.truth else 'Prediction')
    _class_bar(figure, mask, case, planar)
    _write_facts(text, facts(choice, plane, segmentation))
    return figure


def facts(choice: Choice, plane: Plane, segmentation: np.ndarray) -> list[tuple[str, str]]:
    """Name and value of what the panel says: shape, spacing, range of values, and of each class share and count."""
    case = choice.case
    array, spacing = case.image.array, case.image.spacing_mm
    unit_name = 'voxels' if case.image.rank == 3 else 'pixels'
    rows = [
        ('size', ' × '.join(map(str, case.image.size)) + f' {unit_name}'),
        ('spacing', 'not known' if spacing is None else ' × '.join(f'{value:.3g}' for value in spacing) + ' mm'),
        ('values', _range(array)),
    ]
    if case.image.rank == 3:
        rows.append(('in the slice', _range(plane.values)))
    rows.append(('', ''))
    total = segmentation[0].size
    counts = {k: int(np.count_nonzero(case.structures.mask(segmentation, k))) for k in case.structures.drawn}
    room = _ROWS - len(rows)
    listed = list(counts)
    if len(listed) > room:  # the largest, in the order of the classes
        listed = sorted(sorted((k for k in counts if counts[k]), key=lambda k: -counts[k])[: room - 1])
    for k in listed:
        unit_here = unit_name if counts[k] != 1 else unit_name.removesuffix('s')
        rows.append((case.structures.names[k], f'{counts[k]:,} {unit_here}, {100 * counts[k] / total:.3g} %'))
    if len(listed) < len(counts):
        rows.append(('…', f'{len(counts) - len(listed)} more classes'))
    return rows


def _range(values: np.ndarray) -> str:
    """Lowest and highest number, and how many values are none."""
    finite = values[np.isfinite(values)]
    others = values.size - finite.size
    text = f'{number(float(finite.min()))} to {number(float(finite.max()))}' if finite.size else 'no number'
    return f'{text}, {others:,} not finite' if others else text


def _value_bar(figure: Figure, axes: Axes, case: PictureCase, plane: Plane) -> None:
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize

    if plane.values.ndim == 3:  # colours
        return
    low, high = contrast_of(case.image.array)
    bar = figure.colorbar(ScalarMappable(Normalize(low, max(high, low + 1e-12)), 'gray'), ax=axes, fraction=0.05)
    _style(bar)


def _class_bar(figure: Figure, axes: Axes, case: PictureCase, planar: np.ndarray) -> None:
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import BoundaryNorm, ListedColormap

    entries = case.structures.entries(planar)[:_MOST_BARS] or case.structures.entries()[:1]
    norm = BoundaryNorm(list(range(len(entries) + 1)), len(entries))
    bar = figure.colorbar(
        ScalarMappable(norm, ListedColormap([unit(color) for _, color in entries])), ax=axes, fraction=0.05
    )
    bar.set_ticks([k + 0.5 for k in range(len(entries))], labels=[plain(_short(name)) for name, _ in entries])
    bar.ax.invert_yaxis()
    _style(bar)
    bar.ax.tick_params(length=0)


def _style(bar: object) -> None:
    bar.outline.set_edgecolor(LINE)  # type: ignore[attr-defined]
    bar.ax.tick_params(colors=SOFT, labelsize=8)  # type: ignore[attr-defined]


def _short(name: str, most: int = 16) -> str:
    return name if len(name) <= most else name[: most - 1] + '…'


def _write_facts(axes: Axes, rows: list[tuple[str, str]]) -> None:
    axes.set(xticks=[], yticks=[], facecolor=PANEL)
    for spine in axes.spines.values():
        spine.set(visible=True, color=LINE, linewidth=0.8)
    step = min(0.1, 0.9 / max(len(rows), 1))
    for line, (name, value) in enumerate(rows):
        height = 0.92 - line * step
        axes.text(0.06, height, plain(_short(name, 15)), transform=axes.transAxes, color=SOFT, fontsize=10, va='center')
        axes.text(0.4, height, plain(value), transform=axes.transAxes, color=INK, fontsize=10, va='center')
