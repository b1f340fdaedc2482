"""Values of single cases in rows: box plots and violin plots that show which values are penalties."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from mmseg_medical.evaluation.functional.empty import STATES
from mmseg_medical.visualization.canvas import SOFT, spread

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.lines import Line2D

#: marker and colour of the cases in one state
MARKERS = {'valid': 'o', 'missed': 'v', 'false_alarm': '^', 'empty': 's'}
COLORS = {'valid': '#0072b2', 'missed': '#d55e00', 'false_alarm': '#cc79a7', 'empty': '#009e73'}
NAMES = {'valid': 'valid', 'missed': 'missed', 'false_alarm': 'false alarm', 'empty': 'rightly empty'}
#: quartiles and densities of fewer cases say less than the cases themselves
_FEWEST = 5
_GOLDEN = (5**0.5 - 1) / 2


@dataclass(frozen=True)
class Row:
    """Values drawn side by side.

    Attributes:
        position (float): on the vertical axis.
        height (float): room there.
        values (np.ndarray): shape (N,), NaN where undefined, may be infinite.
        states (np.ndarray): shape (N,), indices into :data:`~mmseg_medical.evaluation.functional.empty.STATES`.
        color (str | None): of its cases; None colours them by state.
    """

    position: float
    height: float
    values: np.ndarray = field(repr=False)
    states: np.ndarray = field(repr=False)
    color: str | None = None


def draw_rows(axes: Axes, rows: Sequence[Row], violins: bool, score: bool, width: float = 0.4) -> None:
    """Draw rows along the horizontal axis, which this scales.

    Infinite values stand on a dotted line at the right edge and take part in the quartiles there.

    Args:
        axes (Axes): an empty panel.
        rows (Sequence[Row]): what to draw.
        violins (bool): densities with the cases that are not valid; otherwise boxes (quartiles; whiskers reach to the
            last case within 1.5 times their distance) with all cases.
        score (bool): values lie in 0..1.
        width (float): of a dot and a line; smaller where rows are narrow.
    """
    defined = [~np.isnan(row.values) for row in rows]
    edge = _scale(axes, np.concatenate([row.values[keep] for row, keep in zip(rows, defined, strict=True)]), score)
    for row, keep in zip(rows, defined, strict=True):
        values = np.clip(row.values[keep], -np.inf, edge)
        states = row.states[keep]
        if not values.size:
            axes.text(
                0.02, row.position, 'no defined value', transform=axes.get_yaxis_transform(), va='center', color=SOFT
            )
            continue
        if values.size >= _FEWEST:
            (_violin if violins else _box)(axes, row, values)
        _dots(axes, row, values, states, violins and values.size >= _FEWEST, width)


def _scale(axes: Axes, values: np.ndarray, score: bool) -> float:
    """Set scale and limits; returns where infinite values are drawn."""
    finite = values[np.isfinite(values)]
    if not score:
        spread(finite, 'x', axes)
    low, high = (min(finite.min(), 0.0), max(finite.max(), 0.0)) if finite.size else (0.0, 1.0)
    if score or low == high:
        low, high = min(low, 0.0), max(high, 1.0)
    scale = axes.xaxis.get_transform()
    inverse = scale.inverted()
    start, end = scale.transform(np.array([low, high]))
    room = end - start
    infinite = values.size > finite.size
    left = start - (0.02 * room if low == 0 else 0.05 * room)
    limits = inverse.transform(np.array([left, end + (0.12 if infinite else 0.03) * room]))
    edge = float(inverse.transform(np.array([end + 0.08 * room]))[0])
    axes.set_xlim(*limits)
    if infinite:
        axes.set_xticks([tick for tick in axes.get_xticks() if limits[0] <= tick <= high])
        axes.axvline(edge, color=SOFT, linestyle=':', linewidth=1)
        axes.text(edge, 1.0, '∞', transform=axes.get_xaxis_transform(), ha='center', va='bottom', fontsize=13)
    return edge if infinite else np.inf


def _box(axes: Axes, row: Row, values: np.ndarray) -> None:
    first, median, third = np.quantile(values, (0.25, 0.5, 0.75))
    reach = 1.5 * (third - first)
    low, high = values[values >= first - reach].min(), values[values <= third + reach].max()
    half = 0.36 * row.height
    y = row.position
    line: Any = {'color': row.color or SOFT, 'linewidth': 1.2, 'zorder': 3}
    axes.barh(y, third - first, left=first, height=2 * half, color=row.color or '#9aa0a6', alpha=0.22, zorder=2)
    box = [first, third, third, first, first], [y - half, y - half, y + half, y + half, y - half]
    axes.plot(*box, **line)
    axes.hlines([y, y], [low, third], [first, high], **line)
    axes.vlines([low, high], y - half / 2, y + half / 2, **line)
    axes.vlines(median, y - half, y + half, color='#1f2328', linewidth=2, zorder=5)


def _violin(axes: Axes, row: Row, values: np.ndarray) -> None:
    from scipy.stats import gaussian_kde

    y, half = row.position, 0.42 * row.height
    # the density of what is seen: on a logarithmic axis that of the logarithms
    scale = axes.xaxis.get_transform()
    seen = scale.transform(values)
    if np.ptp(seen) > 1e-9 * max(1.0, np.abs(seen).max()):
        grid = np.linspace(seen.min(), seen.max(), 200)
        density = gaussian_kde(seen)(grid)
        x, reach = scale.inverted().transform(grid), half * density / density.max()
        color = row.color or COLORS['valid']
        axes.fill_between(x, y - reach, y + reach, color=color, alpha=0.3, linewidth=0, zorder=2)
        axes.plot(x, y - reach, x, y + reach, color=color, linewidth=1, zorder=3)
    first, median, third = np.quantile(values, (0.25, 0.5, 0.75))
    axes.hlines(y, first, third, color='#1f2328', linewidth=3, zorder=4)
    axes.vlines(median, y - 0.6 * half, y + 0.6 * half, color='#1f2328', linewidth=2, zorder=5)


def _dots(axes: Axes, row: Row, values: np.ndarray, states: np.ndarray, only_special: bool, width: float) -> None:
    numbers = np.arange(values.size)
    # a low-discrepancy sequence: spreads evenly, and equally in every run
    shift = ((numbers + 0.5) * _GOLDEN % 1 - 0.5) * 0.6 * row.height if values.size > 1 else np.zeros(1)
    few = values.size <= 60
    for number, state in enumerate(STATES):
        chosen = states == number
        if not chosen.any() or (only_special and state == 'valid'):
            continue
        special = state != 'valid'
        # penalties coincide: missed cases stand in the lower half, false alarms in the upper one
        side = {'missed': 1, 'false_alarm': -1}.get(state, 0)
        moved = shift[chosen] if side == 0 else side * (np.abs(shift[chosen]) + 0.06 * row.height)
        axes.scatter(
            values[chosen],
            row.position + moved,
            s=60 * width * (1.6 if special else 1.0 if few else 0.45),
            marker=MARKERS[state],
            color=row.color or COLORS[state],
            edgecolors='#1f2328' if special else 'white',
            linewidths=0.6 if special else 0.3 if few else 0,
            alpha=0.9 if few or special else 0.55,
            zorder=7 if special else 6,
            clip_on=False,
        )


def state_handles(states: np.ndarray, colored: bool = True) -> list[Line2D]:
    """Entries of a legend for the states that occur.

    Args:
        states (np.ndarray): of the values that are drawn, any shape.
        colored (bool): colour tells the state too; otherwise only the marker does, and valid cases need no entry.
    """
    from matplotlib.lines import Line2D

    handles = []
    for number, state in enumerate(STATES):
        count = int((states == number).sum())
        if count and (colored or state != 'valid'):
            handles.append(
                Line2D(
                    [],
                    [],
                    linestyle='none',
                    marker=MARKERS[state],
                    markersize=6,
                    color=COLORS[state] if colored else '#9aa0a6',
                    markeredgecolor='white' if state == 'valid' else '#1f2328',
                    markeredgewidth=0.6,
                    label=f'{NAMES[state]} ({count})' if colored else NAMES[state],
                )
            )
    return handles
