"""Dark figures: empty panels, legends, frames."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mmseg_medical.files import atomic_write
from mmseg_medical.visualization.canvas import png
from mmseg_medical.visualization.palette import Color

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

BACKGROUND = '#1a1a2e'
PANEL = '#23233b'
INK = '#eceff4'
SOFT = '#a9b1c6'
LINE = '#454963'
# inches: from the bottom to the legend where a note stands under it, and from row to row of the legend
_NOTE, _ROW = 0.24, 0.235
#: entries of a legend at most; nobody tells more colours apart
_MOST_NAMED = 30
# mean width of bold letters, in sizes of the font
_EM_BOLD = 0.68
STYLE: Any = {
    'font.size': 10,
    'figure.facecolor': BACKGROUND,
    'savefig.facecolor': BACKGROUND,
    'axes.facecolor': BACKGROUND,
    'axes.edgecolor': LINE,
    'axes.labelcolor': SOFT,
    'axes.titlecolor': INK,
    'axes.spines.top': False,
    'axes.spines.right': False,
    'axes.axisbelow': True,
    'grid.color': '#33364f',
    'grid.linewidth': 0.8,
    'xtick.color': SOFT,
    'ytick.color': SOFT,
    'text.color': INK,
    'legend.facecolor': PANEL,
    'legend.edgecolor': 'none',
    'legend.labelcolor': INK,
}


def dark_panels(
    count: int,
    width: float,
    height: float,
    columns: int,
    title: str = '',
    footer: float = 0.0,
) -> tuple[Figure, list[Axes]]:
    """Start a figure.

    Args:
        count (int): number of panels.
        width (float): of a panel, in inches.
        height (float): of a panel, in inches.
        columns (int): most panels side by side.
        title (str): line above.
        footer (float): height that is left free at the bottom, for a legend, in inches.

    Returns:
        tuple: the figure and its ``count`` panels, row by row.
    """
    from matplotlib import rc_context
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    columns = min(columns, count)
    rows = math.ceil(count / columns)
    head = 0.5 if title else 0.1
    with rc_context(STYLE):
        figure = Figure(figsize=(columns * width, rows * height + head + footer), layout='constrained')
        FigureCanvasAgg(figure)
        total = rows * height + head + footer
        engine: Any = figure.get_layout_engine()
        engine.set(rect=(0.01, footer / total, 0.98, rows * height / total), w_pad=0.06, h_pad=0.09)
        grid = figure.add_gridspec(rows, columns)
        panels = [figure.add_subplot(grid[k // columns, k % columns]) for k in range(count)]
    if title:
        room = 0.96 * columns * width
        size = max(8.0, min(13.0, room / (_EM_BOLD * len(title)) * 72))
        text = plain(fitted(title, room, size, _EM_BOLD))
        figure.text(0.5, 1 - 0.27 / total, text, ha='center', va='center', fontsize=size, fontweight='bold', color=INK)
    return figure, panels


def plain(text: str) -> str:
    """Text in which a dollar starts no formula."""
    return text.replace('$', r'\$')


def fitted(text: str, width: float, size: float, em: float = 0.55) -> str:
    """Shorten a text in its middle, so that it fits into a width: names of cases and slices differ at their ends.

    Args:
        text (str): One line.
        width (float): Room for it, in inches.
        size (float): Of the font, in points.
        em (float): Mean width of a letter, in sizes of the font.

    >>> fitted('1.3.6.1.4.1.14519.5.2.1.6279 · axial 40', 1.5, 9)
    '1.3.6.1.…9 · axial 40'
    """
    most = max(6, int(width * 72 / (em * size)))
    if len(text) <= most:
        return text
    start = (most - 1) * 2 // 5
    return f'{text[:start]}…{text[len(text) - (most - 1 - start) :]}'


def show(axes: Axes, picture: np.ndarray, title: str = '', size: float = 9.5, interpolation: str = 'nearest') -> None:
    """Fill a panel with an RGB picture (h, w, 3), uint8, and frame it.

    Args:
        axes (Axes): One of :func:`dark_panels`.
        picture (np.ndarray): shape (h, w, 3), uint8.
        title (str): Line above, shortened to the width of the panel.
        size (float): Of its letters, in points.
        interpolation (str): Of matplotlib; ``'antialiased'`` for a picture with letters in it.
    """
    axes.imshow(picture, interpolation=interpolation)
    axes.set(xticks=[], yticks=[])
    for spine in axes.spines.values():
        spine.set(visible=True, color=LINE, linewidth=0.8)
    if title:
        figure: Any = axes.get_figure()
        spec: Any = axes.get_subplotspec()
        width = 0.94 * figure.get_size_inches()[0] / spec.get_gridspec().ncols
        axes.set_title(plain(fitted(title, width, size)), fontsize=size, color=INK, pad=5)


def legend(figure: Figure, entries: Sequence[tuple[str, Color]], note: str = '') -> None:
    """Write names and colours into the space at the bottom, and a note under them.

    Args:
        figure (Figure): Started with a ``footer`` of :func:`footer_of`.
        entries (Sequence): Name and RGB.
        note (str): Small line at the very bottom.
    """
    from matplotlib.patches import Patch

    width, height = figure.get_size_inches()
    named, columns = _columns(entries, width)
    handles = [Patch(facecolor=unit(color), edgecolor='none', label=plain(name)) for name, color in named]
    if len(entries) > len(handles):
        handles.append(Patch(facecolor='none', edgecolor='none', label=f'and {len(entries) - len(handles)} more'))
    if handles:
        figure.legend(
            handles=handles,
            loc='lower center',
            bbox_to_anchor=(0.5, (_NOTE if note else 0.04) / height),
            ncols=columns,
            frameon=False,
            labelcolor=INK,
            fontsize=10,
            handlelength=1.1,
            handleheight=1.1,
            columnspacing=1.8,
            borderpad=0.2,
        )
    if note:
        size = min(8.0, 0.97 * width * 72 / (0.55 * len(note)))
        figure.text(0.5, 0.13 / height, plain(note), ha='center', va='center', fontsize=size, color=SOFT)


def footer_of(entries: Sequence[tuple[str, Color]], width: float, note: str = '') -> float:
    """Height that legend and note need under a figure of a width, in inches."""
    named, columns = _columns(entries, width)
    rows = math.ceil((len(named) + (len(entries) > len(named))) / columns)
    return _ROW * rows + (_NOTE + 0.08 if note else 0.12)


def _columns(entries: Sequence[tuple[str, Color]], width: float) -> tuple[list[tuple[str, Color]], int]:
    """The entries that are named, their names shortened to the width in inches, and how many stand side by side."""
    named = [(fitted(name, width - 0.5, 10), color) for name, color in entries[:_MOST_NAMED]]
    widest = max((len(name) for name, _ in named), default=1) * 0.52 * 10 / 72 + 0.51
    number = len(named) + (len(entries) > len(named))
    return named, max(1, min(number, 6, int((width + 0.25) / widest)))


def unit(color: Color) -> tuple[float, float, float]:
    """RGB in 0..255 as matplotlib takes it."""
    return color[0] / 255, color[1] / 255, color[2] / 255


def write_figure(figure: Figure, path: str | Path) -> Path:
    """Write a figure as PNG, whole or not at all."""
    picture = png(figure)
    with atomic_write(path, 'wb') as file:
        file.write(picture)
    return Path(path)
