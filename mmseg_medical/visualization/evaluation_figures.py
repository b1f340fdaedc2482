"""Figures of a table of cases, as PNG."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import numpy as np

from mmseg_medical.evaluation.functional.empty import STATES
from mmseg_medical.evaluation.table import DISTANCES, CaseTable, higher_is_better
from mmseg_medical.visualization.canvas import SOFT, label, new_panels, number, png, write_in
from mmseg_medical.visualization.distributions import COLORS, MARKERS, Row, draw_rows, state_handles

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: half-width of the limits of agreement in standard deviations
_AGREEMENT = 1.96


def evaluation_figures(table: CaseTable) -> dict[str, bytes]:
    """Draw a box plot and a violin plot of each metric, and the agreement of the volumes.

    Args:
        table (CaseTable): all cases.

    Returns:
        dict[str, bytes]: file name without suffix, such as ``box_dice``, ``violin_nsd@1mm`` or ``bland_altman``
        -> PNG.
    """
    figures = {}
    for metric in drawn_metrics(table):
        figures[file_name('box', metric)] = box_figure(table, metric)
        figures[file_name('violin', metric)] = violin_figure(table, metric)
    if volume_metric(table) is not None:
        figures['bland_altman'] = bland_altman_figure(table)
    return figures


def file_name(*parts: str) -> str:
    """Join words to the name of a file."""
    return re.sub(r'[^\w@.+-]', '_', '_'.join(parts))


def drawn_metrics(table: CaseTable) -> list[str]:
    """Metrics that have box and violin plots: all but the volumes themselves."""
    return [metric for metric in table.metrics if not metric.removeprefix('target_').startswith('volume_')]


def volume_metric(table: CaseTable) -> str | None:
    """Name of the volumes in a table; None if it holds none."""
    names = [m for m in ('volume_mm3', 'volume_px') if {m, f'target_{m}'} <= set(table.metrics)]
    return names[0] if names else None


def axis_label(table: CaseTable, metric: str) -> str:
    """Name, unit and direction of a metric, such as ``hd95 in mm, lower is better``."""
    unit = table.unit_of(metric)
    direction = {True: 'higher is better', False: 'lower is better', None: '0 is best'}[higher_is_better(metric)]
    return f'{metric}{f" in {unit}" if unit else ""}, {direction}'


def is_score(metric: str) -> bool:
    """Whether the values of a metric lie in 0..1."""
    return metric not in DISTANCES and higher_is_better(metric) is not None


def box_figure(table: CaseTable, metric: str) -> bytes:
    """Draw the quartiles of a metric for each class, and every case by its state.

    Args:
        table (CaseTable): all cases.
        metric (str): one of its metrics.

    Returns:
        bytes: PNG.
    """
    return _distribution(table, metric, violins=False)


def violin_figure(table: CaseTable, metric: str) -> bytes:
    """Draw the density of a metric for each class, its quartiles, and the cases that are not valid.

    Args:
        table (CaseTable): all cases.
        metric (str): one of its metrics.

    Returns:
        bytes: PNG.
    """
    return _distribution(table, metric, violins=True)


def _distribution(table: CaseTable, metric: str, violins: bool) -> bytes:
    figure, (axes,) = new_panels(1, 6.4, 1.5 + 0.52 * len(table.classes))
    rows, ticks = [], []
    for k, name in enumerate(table.classes):
        values = table.column(name, metric)
        rows.append(Row(k, 1.0, values, table.state_column(name)))
        defined = int((~np.isnan(values)).sum())
        ticks.append(f'{label(name)}\nn = {defined}{"" if defined == values.size else f" of {values.size}"}')
    draw_rows(axes, rows, violins, is_score(metric))
    axes.set(ylim=(len(rows) - 0.5, -0.5), xlabel=axis_label(table, metric))
    axes.set_yticks(range(len(rows)), ticks)
    axes.grid(visible=False, axis='y')
    shown = table.states[~np.isnan(table.values[:, :, table.metrics.index(metric)])]
    handles = state_handles(shown)
    if handles:
        figure.legend(handles=handles, loc='outside lower center', ncols=4, frameon=False, handletextpad=0.2)
    return png(figure)


def bland_altman_figure(table: CaseTable) -> bytes:
    """Draw the difference of predicted and true volume against their mean, a panel for each class.

    Bias is the mean difference, the 95 % limits of agreement are 1.96 standard deviations (n - 1) around it
    (J. M. Bland, D. G. Altman, Statistical methods for assessing agreement between two methods of clinical
    measurement, Lancet 327 (1986) 307-310, doi:10.1016/S0140-6736(86)90837-8). Cases in which both masks are empty
    are left out: they would narrow the limits.

    Args:
        table (CaseTable): all cases, with volumes.

    Returns:
        bytes: PNG; millilitres, or pixels for images without spacing.

    Raises:
        ValueError: the table holds no volumes.
    """
    volume = volume_metric(table)
    if volume is None:
        raise ValueError(f'volume_mm3 and target_volume_mm3 are missing, the table holds {", ".join(table.metrics)}')
    unit, factor = ('mL', 1e-3) if volume == 'volume_mm3' else ('px', 1.0)
    columns = 1 if len(table.classes) == 1 else 2 if len(table.classes) in (2, 4) else 3
    wide = 6.4 if columns == 1 else 4.0
    figure, panels = new_panels(len(table.classes), wide, 3.6, columns)
    drawn = []
    for name, axes in zip(table.classes, panels, strict=True):
        states = table.state_column(name)
        keep = states != STATES.index('empty')
        pred, target = (factor * table.column(name, key)[keep] for key in (volume, f'target_{volume}'))
        text = _agreement(axes, pred, target, states[keep], unit)
        axes.set_title(f'{label(name, 40, 1)}\n{text}', fontsize=9)
        drawn.append(states[keep])
    figure.supxlabel(f'mean of prediction and target in {unit}', fontsize=10)
    figure.supylabel(f'prediction - target in {unit}', fontsize=10)
    handles = state_handles(np.concatenate(drawn))
    if handles:
        figure.legend(handles=handles, loc='outside upper center', ncols=4, frameon=False, handletextpad=0.2)
    return png(figure)


def _agreement(axes: Axes, pred: np.ndarray, target: np.ndarray, states: np.ndarray, unit: str) -> str:
    """Draw one panel; returns its numbers in words."""
    if not pred.size:
        write_in(axes, 'both masks are empty\nin every case')
        return ''
    means, differences = (pred + target) / 2, pred - target
    for index, state in enumerate(STATES):
        chosen = states == index
        if chosen.any():
            axes.scatter(
                means[chosen],
                differences[chosen],
                s=26 if pred.size <= 60 or state != 'valid' else 12,
                marker=MARKERS[state],
                color=COLORS[state],
                edgecolors='white' if state == 'valid' else '#1f2328',
                linewidths=0.4,
                alpha=0.85,
                zorder=3,
            )
    axes.axhline(0, color='#9aa0a6', linewidth=1)
    bias = differences.mean()
    axes.axhline(bias, color='#1f2328', linewidth=1.4)
    axes.margins(x=0.06, y=0.12)
    axes.set_xlim(left=0)
    axes.locator_params(axis='x', nbins=5)
    if pred.size == 1:
        return f'bias {number(bias)} {unit}, one case has no limits'
    half = _AGREEMENT * differences.std(ddof=1)
    for limit in (bias - half, bias + half):
        axes.axhline(limit, color=SOFT, linestyle='--', linewidth=1.2)
    return f'bias {number(bias)}, limits {number(bias - half)} to {number(bias + half)} {unit}, n = {pred.size}'
