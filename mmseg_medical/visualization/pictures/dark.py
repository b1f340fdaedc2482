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
        figure.text(
            0.5, 1 - 0.27 / total, plain(title), ha='center', va='center', fontsize=13, fontweight='bold', color=INK
        )
    return figure, panels


def plain(text: str) -> str:
    """Text in which a dollar starts no formula."""
    return text.replace('$', r'\$')


def show(axes: Axes, picture: np.ndarray, title: str = '', size: float = 9.5) -> None:
    """Fill a panel with an RGB picture (h, w, 3), uint8, and frame it."""
    axes.imshow(picture, interpolation='nearest')
    axes.set(xticks=[], yticks=[])
    for spine in axes.spines.values():
        spine.set(visible=True, color=LINE, linewidth=0.8)
    if title:
        axes.set_title(plain(title), fontsize=size, color=INK, pad=5)


def legend(figure: Figure, entries: Sequence[tuple[str, Color]], note: str = '', top: float = 0.3) -> None:
    """Write names and colours into the space at the bottom, and a note under them.

    Args:
        figure (Figure): Started with a ``footer``.
        entries (Sequence): Name and RGB.
        note (str): Small line at the very bottom.
        top (float): Height of the legend's middle above the bottom, in inches.
    """
    from matplotlib.patches import Patch

    height = figure.get_size_inches()[1]
    handles = [Patch(facecolor=unit(color), edgecolor='none', label=plain(name)) for name, color in entries]
    if handles:
        figure.legend(
            handles=handles,
            loc='center',
            bbox_to_anchor=(0.5, top / height),
            ncols=min(len(handles), 6),
            frameon=False,
            labelcolor=INK,
            fontsize=10,
            handlelength=1.1,
            handleheight=1.1,
            columnspacing=1.8,
        )
    if note:
        figure.text(0.5, 0.13 / height, plain(note), ha='center', va='center', fontsize=8, color=SOFT)


def footer_of(entries: Sequence[object], note: str = '') -> float:
    """Height that legend and note need, in inches."""
    return 0.28 * math.ceil(len(entries) / 6) + (0.25 if note else 0.12)


def unit(color: Color) -> tuple[float, float, float]:
    """RGB in 0..255 as matplotlib takes it."""
    return color[0] / 255, color[1] / 255, color[2] / 255


def write_figure(figure: Figure, path: str | Path) -> Path:
    """Write a figure as PNG, whole or not at all."""
    picture = png(figure)
    with atomic_write(path, 'wb') as file:
        file.write(picture)
    return Path(path)
