"""Figures of several methods on the same cases, as PNG."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from mmseg_medical.evaluation.compare import Comparison
from mmseg_medical.evaluation.compare_files import p_text
from mmseg_medical.evaluation.functional.statistics import PairComparison
from mmseg_medical.evaluation.table import headline_metrics
from mmseg_medical.visualization.canvas import SERIES, SOFT, label, new_panels, number, png, spread, write_in
from mmseg_medical.visualization.distributions import Row, draw_rows, state_handles
from mmseg_medical.visualization.evaluation_figures import axis_label, file_name, is_score

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes

_EQUAL = '#9aa0a6'


def comparison_figures(comparison: Comparison) -> dict[str, bytes]:
    """Draw the headline metrics: boxes of all methods, and the differences of each pair of methods.

    Args:
        comparison (Comparison): the methods.

    Returns:
        dict[str, bytes]: file name without suffix, such as ``box_dice`` or ``difference_dice_1_A_B`` -> PNG.
    """
    figures = {}
    for metric in headline_metrics(comparison.metrics):
        figures[file_name('box', metric)] = method_figure(comparison, metric)
        for index, pair in enumerate(comparison.pairs[comparison.table.classes[0]][metric]):
            figures[difference_name(metric, index, pair)] = difference_figure(comparison, metric, index)
    return figures


def difference_name(metric: str, index: int, pair: PairComparison) -> str:
    """Name of the figure of a pair; the number keeps names of methods apart that differ in blanks only."""
    return file_name('difference', metric, str(index + 1), pair.first[:40], pair.second[:40])


def method_figure(comparison: Comparison, metric: str) -> bytes:
    """Draw the quartiles of a metric for each class and method, and every case.

    Args:
        comparison (Comparison): the methods.
        metric (str): one of the metrics.

    Returns:
        bytes: PNG.
    """
    from matplotlib.patches import Patch

    table, methods = comparison.table, comparison.methods
    height = 0.84 / len(methods)
    size = max(0.52, 0.24 * len(methods) + 0.12)
    figure, (axes,) = new_panels(1, 6.4, 1.6 + size * len(table.classes) + 0.22 * math.ceil(len(methods) / 3))
    rows, states = [], []
    for k, name in enumerate(table.classes):
        for m, method in enumerate(methods):
            own = comparison.tables[method]
            values = own.column(name, metric)
            position = k + (m - (len(methods) - 1) / 2) * height
            rows.append(Row(position, height, values, own.state_column(name), SERIES[m % len(SERIES)]))
            states.append(own.state_column(name)[~np.isnan(values)])
    draw_rows(axes, rows, violins=False, score=is_score(metric), width=0.3)
    axes.set(ylim=(len(table.classes) - 0.5, -0.5), xlabel=axis_label(table, metric))
    axes.set_yticks(range(len(table.classes)), [label(name) for name in table.classes])
    axes.grid(visible=False, axis='y')
    handles: list[Artist] = [
        Patch(facecolor=SERIES[m % len(SERIES)], alpha=0.6, label=label(method, 24, 1))
        for m, method in enumerate(methods)
    ]
    handles += state_handles(np.concatenate(states), colored=False)
    figure.legend(handles=handles, loc='outside lower center', ncols=3, frameon=False)
    return png(figure)


def difference_figure(comparison: Comparison, metric: str, pair: int = 0) -> bytes:
    """Draw the differences of two methods case by case, sorted, a panel for each class.

    Args:
        comparison (Comparison): the methods.
        metric (str): one of the compared metrics.
        pair (int): which pair of methods, in the order of ``comparison.pairs``.

    Returns:
        bytes: PNG.
    """
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    classes = comparison.table.classes
    columns = 1 if len(classes) == 1 else 2 if len(classes) in (2, 4) else 3
    figure, panels = new_panels(len(classes), 6.4 if columns == 1 else 4.0, 3.5, columns)
    for name, axes in zip(classes, panels, strict=True):
        both = comparison.pairs[name][metric][pair]
        text = _differences(axes, comparison.differences(name, metric, both), both, not is_score(metric))
        axes.set_title(f'{label(name, 40, 1)}\n{text}', fontsize=9)
    first, second = label(both.first, 18, 1), label(both.second, 18, 1)
    unit = comparison.table.unit_of(metric)
    figure.supylabel(f'difference of {metric}{f" in {unit}" if unit else ""}', fontsize=10)
    figure.supxlabel('cases, sorted', fontsize=10)
    handles = [
        Patch(facecolor=SERIES[0], label=f'{first} better'),
        Patch(facecolor=SERIES[1], label=f'{second} better'),
        Line2D([], [], color='#1f2328', linewidth=1.4, label='mean, 95 % interval'),
    ]
    title = f'{first} − {second}'
    figure.legend(
        handles=handles, title=title, loc='outside upper center', ncols=3, frameon=False, fontsize=9, columnspacing=1.2
    )
    return png(figure)


def _differences(axes: Axes, differences: np.ndarray, pair: PairComparison, lower_is_better: bool) -> str:
    """Draw one panel; returns its numbers in words."""
    values = np.sort(differences[~np.isnan(differences)])
    if not values.size:
        write_in(axes, 'no case in which\nboth have a value')
        return ''
    finite = values[np.isfinite(values)]
    reach = float(np.abs(finite).max()) if finite.size else 0.0
    spread(finite, 'y', axes)
    top = 1.15 * reach if reach else 1.0
    infinite = finite.size < values.size
    if infinite:
        scale = axes.yaxis.get_transform()
        edge = scale.inverted().transform(1.12 * scale.transform(np.array([top])))[0]
        values = np.clip(values, -edge, edge)
        for side in np.unique(np.sign(values[np.abs(values) == edge])):
            axes.axhline(side * edge, color=SOFT, linestyle=':', linewidth=1)
            text = '∞' if side > 0 else '−∞'
            axes.text(1.01, side * edge, text, transform=axes.get_yaxis_transform(), va='center', fontsize=12)
        top = edge
    better = -values if lower_is_better else values
    colors = [SERIES[0] if value > 0 else SERIES[1] if value < 0 else _EQUAL for value in better]
    numbers = np.arange(1, values.size + 1)
    axes.vlines(numbers, 0, values, colors=colors, linewidth=1.6 if values.size <= 60 else 0.8, alpha=0.6)
    axes.scatter(numbers, values, s=22 if values.size <= 60 else 7, c=colors, zorder=3, clip_on=False)
    axes.axhline(0, color='#1f2328', linewidth=0.8)
    low, high = pair.interval.low, pair.interval.high
    if math.isfinite(pair.mean_difference):
        axes.axhline(pair.mean_difference, color='#1f2328', linewidth=1.4, zorder=4)
    if math.isfinite(low):
        axes.axhspan(low, high, color='#1f2328', alpha=0.14, linewidth=0, zorder=1)
    bottom = min(values.min(), low if math.isfinite(low) else 0.0)
    ceiling = max(values.max(), high if math.isfinite(high) else 0.0)
    axes.set_ylim(*_limits(axes, min(bottom, 0.0), max(ceiling, 0.0), top))
    room = 0.5 + 0.02 * values.size
    axes.set_xlim(1 - room, values.size + room)
    if values.size <= 6:
        axes.set_xticks(numbers)
    else:
        axes.locator_params(axis='x', nbins=6, integer=True)
    interval = f' [{number(low)}, {number(high)}]' if math.isfinite(low) else ''
    mean = f'mean {number(pair.mean_difference)}{interval}' if not math.isnan(pair.mean_difference) else 'no mean'
    tests = f'Wilcoxon p {_p(pair.wilcoxon_holm)}, permutation p {_p(pair.permutation_holm)}'
    return f'{mean}, n = {pair.num_pairs}\nHolm: {tests}'


def _limits(axes: Axes, low: float, high: float, size: float) -> tuple[float, float]:
    """Some room on both sides, on whatever scale."""
    scale = axes.yaxis.get_transform()
    ends = scale.transform(np.array([low, high]))
    room = 0.06 * (ends[1] - ends[0]) or 0.5 * float(scale.transform(np.array([size]))[0])
    bottom, top = scale.inverted().transform(ends + np.array([-room, room]))
    return float(bottom), float(top)


def _p(value: float) -> str:
    text = p_text(value)
    return 'undefined' if text == '-' else text if text.startswith('<') else f'= {text}'
