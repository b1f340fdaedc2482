"""Pictures of a sweep as PNG: its course, a slice for each parameter, and how much each matters."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from mmseg_medical.evaluation.natural_order import natural_key
from mmseg_medical.visualization.canvas import SERIES, SOFT, label, new_panels, number, png, write_in

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# more panels are not read
_MOST_SLICES = 12
# letters side by side under a panel
_LETTERS = 38


@dataclass(frozen=True)
class Point:
    """One trial.

    Attributes:
        number (int): in the order of the sweep.
        value (float): NaN unless it finished.
        values (dict[str, Any]): parameter -> value.
        std (float): over the seeds, NaN for one seed.
        status (str): 'finished', 'given up', 'failed' ...
        curve (dict[int, float]): step -> value of its validations.
    """

    number: int
    value: float = math.nan
    values: dict[str, Any] = field(default_factory=dict)
    std: float = math.nan
    status: str = 'finished'
    curve: dict[int, float] = field(default_factory=dict)


def history_figure(points: Sequence[Point], metric: str, higher: bool) -> bytes:
    """Draw each trial's value, the best so far, and the validations of all trials.

    Args:
        points (Sequence[Point]): all trials.
        metric (str): name of the value.
        higher (bool): whether larger values are better.

    Returns:
        bytes: PNG.
    """
    from matplotlib.ticker import MaxNLocator

    figure, (left, right) = new_panels(2, 6.0, 3.8, columns=2)
    done = sorted((p for p in points if math.isfinite(p.value)), key=lambda point: point.number)
    if not done:
        write_in(left, 'no trial has finished')
    else:
        numbers, values = [p.number for p in done], np.array([p.value for p in done])
        best = np.maximum.accumulate(values) if higher else np.minimum.accumulate(values)
        spread = np.nan_to_num([p.std for p in done])
        left.errorbar(numbers, values, spread, fmt='o', color=SERIES[0], markersize=5, elinewidth=1, label='trial')
        last = max(p.number for p in points)
        left.step(
            [*numbers, last], [*best, best[-1]], where='post', color=SERIES[1], linewidth=1.8, label='best so far'
        )
        _mark_unfinished(left, points)
        left.set(xlabel='trial', ylabel=label(metric), title='Trials')
        left.xaxis.set_major_locator(MaxNLocator(integer=True))
        left.legend(frameon=True, framealpha=0.9, edgecolor='none', fontsize=9)
    _draw_curves(right, points, done, metric, higher)
    return png(figure)


def _mark_unfinished(axes: Axes, points: Sequence[Point]) -> None:
    """A mark at the foot for what has no value."""
    for status, marker, color in (('given up', '|', SOFT), ('failed', 'x', SERIES[3])):
        numbers = [p.number for p in points if p.status == status]
        if numbers:
            foot = axes.get_xaxis_transform()
            axes.plot(numbers, [0.02] * len(numbers), marker, color=color, transform=foot, clip_on=False, label=status)


def _draw_curves(axes: Axes, points: Sequence[Point], done: Sequence[Point], metric: str, higher: bool) -> None:
    from matplotlib.ticker import MaxNLocator

    curves = [p for p in points if p.curve]
    if not curves:
        write_in(axes, 'no validation was reported')
        return
    best = (max if higher else min)(done, key=lambda point: point.value).number if done else None
    for point in sorted(curves, key=lambda point: point.number == best):
        is_best, stopped = point.number == best, point.status == 'given up'
        axes.plot(
            list(point.curve),
            list(point.curve.values()),
            color=SERIES[1] if is_best else SERIES[0] if not stopped else SOFT,
            alpha=1.0 if is_best else 0.45,
            linewidth=2.0 if is_best else 1.0,
            linestyle=':' if stopped else '-',
            marker='o' if len(point.curve) < 4 else None,
            markersize=3,
        )
    handles = [axes.plot([], [], color=SERIES[0], alpha=0.45, linewidth=1.0, label='finished')]
    if best is not None:
        handles.append(axes.plot([], [], color=SERIES[1], linewidth=2.0, label=f'best, trial {best}'))
    if any(p.status == 'given up' for p in curves):
        handles.append(axes.plot([], [], color=SOFT, linestyle=':', linewidth=1.0, label='given up'))
    axes.set(xlabel='step of the training', ylabel=label(metric), title='Validations')
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.legend(frameon=True, framealpha=0.9, edgecolor='none', fontsize=9)


def slices_figure(points: Sequence[Point], metric: str) -> bytes | None:
    """Draw the value over each parameter that varies; values of other parameters differ within a panel.

    Args:
        points (Sequence[Point]): all trials.
        metric (str): name of the value.

    Returns:
        bytes | None: PNG; None where nothing varies.
    """
    done = [point for point in points if math.isfinite(point.value)]
    names = list(dict.fromkeys(name for point in done for name in point.values))
    varied = [name for name in names if len({repr(p.values.get(name)) for p in done}) > 1][:_MOST_SLICES]
    if not varied:
        return None
    figure, panels = new_panels(len(varied), 3.6, 3.2, columns=3)
    for axes, name in zip(panels, varied, strict=True):
        _draw_slice(axes, [p for p in done if name in p.values], name)
        axes.set(xlabel=_key(name), ylabel=label(metric))
    return png(figure)


def _draw_slice(axes: Axes, points: Sequence[Point], name: str) -> None:
    raw = [point.values[name] for point in points]
    values = np.array([point.value for point in points])
    numbers = all(isinstance(v, (int, float)) and not isinstance(v, bool) for v in raw)
    distinct = len(set(raw)) if numbers else 0
    # drawn from a range: nothing, or nearly nothing, came twice that a mean could be taken of
    if distinct > 8 or distinct > max(3, 0.8 * len(raw)):
        axes.scatter(raw, values, s=22, color=SERIES[0], alpha=0.75)
        if min(raw) > 0 and max(raw) > 20 * min(raw):
            _make_logarithmic(axes, max(raw) / min(raw))
        return
    # few values: side by side, whatever their distances, with the mean of each
    texts = [number(v) if isinstance(v, float) else str(v) for v in raw]
    order = list(dict.fromkeys(text for _, text in sorted(zip(raw, texts, strict=True), key=_rank)))
    places = np.array([order.index(text) for text in texts])
    shift = (np.arange(len(places)) % 5 - 2) * 0.05
    axes.scatter(places + shift, values, s=22, color=SERIES[0], alpha=0.75)
    for place in range(len(order)):
        mean = values[places == place].mean()
        axes.plot([place - 0.28, place + 0.28], [mean, mean], color=SERIES[1], linewidth=2)
    names = [label(text, 12) for text in order]
    crowded = sum(max(map(len, name.split('\n'))) + 2 for name in names) > _LETTERS
    turned: Any = dict(rotation=35, ha='right') if crowded else {}
    axes.set_xticks(range(len(order)), names, **turned)
    axes.set_xlim(-0.6, len(order) - 0.4)
    axes.grid(visible=False, axis='x')


def _make_logarithmic(axes: Axes, ratio: float) -> None:
    """Numbers at powers of ten, between few of them at their threefold too; matplotlib's own overlap."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    axes.set_xscale('log')
    axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 3.0) if ratio < 1e3 else (1.0,), numticks=6))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: number(value)))
    axes.xaxis.set_minor_formatter(NullFormatter())


def _rank(pair: tuple[Any, str]) -> tuple:
    value, text = pair
    is_number = isinstance(value, (int, float))
    return not is_number, float(value) if is_number else 0.0, natural_key(text)


def importance_figure(importances: Mapping[str, float]) -> bytes | None:
    """Draw the share of each parameter, the greatest on top.

    Args:
        importances (Mapping[str, float]): parameter -> share in 0..1.

    Returns:
        bytes | None: PNG; None without parameters.
    """
    if not importances:
        return None
    names = sorted(importances, key=lambda name: importances[name])
    shares = [importances[name] for name in names]
    figure, (axes,) = new_panels(1, 6.4, 1.3 + 0.42 * len(names))
    axes.barh(range(len(names)), shares, color=SERIES[0], height=0.6)
    for place, share in enumerate(shares):
        axes.text(share + 0.01, place, f'{share:.2f}', va='center', color=SOFT)
    axes.set_yticks(range(len(names)), [_key(name) for name in names])
    axes.set(
        xlim=(0, max(1.0, max(shares)) * 1.08), xlabel='share (PED-ANOVA)', title='What sets the best trials apart'
    )
    axes.grid(visible=False, axis='y')
    return png(figure)


def _key(name: str) -> str:
    """The last two parts of a dotted key."""
    return label('.'.join(name.split('.')[-2:]), 34)
