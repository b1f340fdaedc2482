"""Empty figures in the style of the reports, without pyplot and so without its global state."""

from __future__ import annotations

import io
import math
import textwrap
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

STYLE: Any = {
    'font.size': 10,
    'axes.spines.top': False,
    'axes.spines.right': False,
    'axes.grid': True,
    'grid.color': '#e3e6ea',
    'grid.linewidth': 0.8,
    'axes.edgecolor': '#9aa0a6',
    'axes.axisbelow': True,
}
#: distinguishable with deficient colour vision: Okabe and Ito, https://jfly.uni-koeln.de/color/
SERIES = ('#0072b2', '#d55e00', '#009e73', '#cc79a7', '#e69f00', '#56b4e9', '#5f6368')
SOFT = '#5b6470'


def new_panels(count: int, width: float, height: float, columns: int = 1) -> tuple[Figure, list[Axes]]:
    """Start a figure.

    Args:
        count (int): number of panels.
        width (float): of a panel, in inches.
        height (float): of a panel, in inches.
        columns (int): most panels side by side.

    Returns:
        tuple: the figure and its ``count`` panels, row by row.
    """
    from matplotlib import rc_context
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    columns = min(columns, count)
    rows = math.ceil(count / columns)
    with rc_context(STYLE):
        figure = Figure(figsize=(columns * width, rows * height), layout='constrained')
        FigureCanvasAgg(figure)
        panels = [figure.add_subplot(rows, columns, number + 1) for number in range(count)]
    return figure, panels


def png(figure: Figure) -> bytes:
    """Write a figure as PNG."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format='png', dpi=144)
    return buffer.getvalue()


def label(name: str, width: int = 22, lines: int = 2) -> str:
    """Wrap and shorten a name for an axis; a dollar in it starts no formula."""
    parts = textwrap.wrap(name, width)
    if len(parts) > lines:
        parts = [*parts[: lines - 1], parts[lines - 1][: width - 1] + '…']
    return '\n'.join(parts).replace('$', r'\$')


def number(value: float) -> str:
    """Three digits, a minus as long as that of the axes."""
    return (
        (f'{value:,.0f}' if 1000 <= abs(value) < 1e12 else f'{value:.3g}')
        .translate({ord('-'): '−'})
        .replace('inf', '∞')
    )


def spread(values: np.ndarray, axis: str, axes: Axes) -> None:
    """Make an axis logarithmic away from zero where its values differ by orders of magnitude.

    Worst values of missed structures (the diagonal of a grid) would otherwise press all others against zero.

    Args:
        values (np.ndarray): shape (N,), finite.
        axis (str): ``'x'`` or ``'y'``.
        axes (Axes): panel that is changed.
    """
    from matplotlib.ticker import FuncFormatter

    sizes = np.abs(values[values != 0])
    if sizes.size and sizes.max() > 30 * np.median(sizes):
        threshold = 10.0 ** math.floor(math.log10(np.quantile(sizes, 0.25)))
        getattr(axes, f'set_{axis}scale')('symlog', linthresh=threshold)
        getattr(axes, f'{axis}axis').set_major_formatter(FuncFormatter(lambda value, _: number(value)))


def write_in(axes: Axes, text: str) -> None:
    """Fill a panel that has nothing to show with the reason."""
    axes.set(xticks=[], yticks=[])
    axes.grid(visible=False)
    axes.text(0.5, 0.5, text, transform=axes.transAxes, ha='center', va='center', color=SOFT, wrap=True)
