"""Curves of one or several trainings: loss, overlap, surface scores, learning rate."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mmseg_medical.datasets.errors import data_error
from mmseg_medical.errors import ConfigError, did_you_mean
from mmseg_medical.visualization.curves import Series, read_scalars
from mmseg_medical.visualization.pictures.case import DARK_SERIES
from mmseg_medical.visualization.pictures.dark import INK, PANEL, dark_panels, plain, unit

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_DASHES: Any = ('-', '--', ':', '-.')


def read_runs(work_dirs: Sequence[str | Path]) -> dict[str, Series]:
    """Read what trainings logged.

    Args:
        work_dirs (Sequence): Folders, each with ``<time>/vis_data/scalars.json``.

    Returns:
        dict: name -> series; the folder's name, with as many parents as tell them apart.

    Raises:
        DataError: A folder holds no log.
        ConfigError: A folder is named twice.
    """
    paths = [Path(one).resolve() for one in work_dirs]
    if len(set(paths)) < len(paths):
        raise ConfigError('a work dir is named twice: ' + ', '.join(map(str, work_dirs)))
    depth = 1
    while len({path.parts[-depth:] for path in paths}) < len(paths):
        depth += 1
    runs = {}
    for path in paths:
        runs['/'.join(path.parts[-depth:])] = series = read_scalars(path)
        if not series:
            raise data_error(
                path,
                expected='a work dir with the log of a training (<time>/vis_data/scalars.json)',
                found='none' if path.is_dir() else 'no such folder',
                remedy='Name the --work-dir of tools/train.py.',
            )
    return runs


def curve_groups(runs: Mapping[str, Series], metrics: Sequence[str] = ()) -> dict[str, list[str]]:
    """Sort what was logged into panels.

    Args:
        runs (Mapping): See :func:`read_runs`.
        metrics (Sequence[str]): Names to draw, a panel each, besides loss and learning rate; none chooses means of
            Dice and NSD.

    Returns:
        dict: title -> names.

    Raises:
        ConfigError: No run logged one of ``metrics``.
    """
    names = list(dict.fromkeys(name for series in runs.values() for name in series))
    groups = {'Training loss': [name for name in names if name == 'loss']}
    if metrics:
        for name in metrics:
            if name not in names:
                raise ConfigError(f'no run logged {name!r}.' + did_you_mean(name, names))
            groups[name] = [name]
    else:
        means = [name for name in names if '.' not in re.sub(r'\d\.\d', '', name)]
        groups['Validation Dice'] = _main([name for name in means if 'dice' in name.lower() and 'loss' not in name])
        groups['Validation NSD'] = [name for name in means if 'nsd' in name.lower()]
    groups['Learning rate'] = [name for name in names if name == 'lr']
    return {title: found for title, found in groups.items() if found}


def _main(names: list[str]) -> list[str]:
    """Of many kinds of Dice the few that are looked at first."""
    first = [name for name in names if name in ('dice', 'mDice', 'mDice_fg', 'dice_fullres', 'slice_dice')]
    return first or names[:4]


def curves_figure(runs: Mapping[str, Series], metrics: Sequence[str] = (), title: str = '') -> Figure:
    """Draw the curves of several runs together, a panel a quantity.

    Args:
        runs (Mapping): Name to series, see :func:`read_runs`.
        metrics (Sequence[str]): See :func:`curve_groups`.
        title (str): Line above.

    Raises:
        ConfigError: Nothing that is drawn was logged.
    """
    groups = curve_groups(runs, metrics)
    if not groups:
        raise ConfigError('the runs logged neither loss, Dice, NSD nor learning rate; name --metrics')
    columns = len(groups) if len(groups) <= 3 else 2
    figure, panels = dark_panels(
        len(groups), 11.5 / columns, 3.4, columns, title, 0.32 * math.ceil(len(runs) / 4) + 0.1
    )
    for axes, (heading, names) in zip(panels, groups.items(), strict=True):
        _draw(axes, runs, names)
        axes.set_title(plain(heading), fontsize=11, color=INK, loc='left', pad=8)
        axes.set_xlabel('iteration', fontsize=9)
        axes.grid(visible=True)
        axes.tick_params(labelsize=8.5)
        if heading == 'Training loss' and _spans_decades(runs, names):
            axes.set_yscale('log')
        if len(names) > 1:
            _dash_legend(axes, names)
    _run_legend(figure, list(runs))
    return figure


def _draw(axes: Axes, runs: Mapping[str, Series], names: Sequence[str]) -> None:
    for number, series in enumerate(runs.values()):
        color = _color(number)
        for dash, name in enumerate(names):
            points = [point for point in series.get(name, []) if math.isfinite(point[1])]
            if not points:
                continue
            steps, values = np.array(points).T
            few = len(points) <= 60
            style = _DASHES[dash % len(_DASHES)]
            if not few and name == 'loss':
                axes.plot(steps, values, color=color, alpha=0.25, linewidth=0.8)
                steps, values = smoothed(steps, values, 2 * (len(points) // 80) + 3)
            axes.plot(steps, values, style, color=color, linewidth=1.7, marker='o' if few else None, markersize=3.2)


def _color(number: int) -> tuple[float, float, float]:
    return unit(DARK_SERIES[number % len(DARK_SERIES)])


def smoothed(steps: np.ndarray, values: np.ndarray, window: int) -> tuple[np.ndarray, np.ndarray]:
    """Average over ``window`` neighbours; at the ends over those that there are.

    >>> smoothed(np.arange(4.0), np.array([0.0, 3.0, 6.0, 3.0]), 3)[1].tolist()
    [1.5, 3.0, 4.0, 4.5]
    """
    kernel = np.ones(window)
    weights = np.convolve(np.ones(len(values)), kernel, 'same')
    return steps, np.convolve(values, kernel, 'same') / weights


def _spans_decades(runs: Mapping[str, Series], names: Sequence[str]) -> bool:
    values = [v for series in runs.values() for name in names for _, v in series.get(name, []) if math.isfinite(v)]
    return bool(values) and min(values) > 0 and max(values) > 50 * min(values)


def _dash_legend(axes: Axes, names: Sequence[str]) -> None:
    from matplotlib.lines import Line2D

    handles = [
        Line2D([], [], color='#a9b1c6', linestyle=_DASHES[k % len(_DASHES)], label=plain(name))
        for k, name in enumerate(names)
    ]
    axes.legend(handles=handles, fontsize=8, facecolor=PANEL, edgecolor='none', labelcolor=INK, framealpha=0.85)


def _run_legend(figure: Figure, names: Sequence[str]) -> None:
    from matplotlib.lines import Line2D

    handles = [Line2D([], [], color=_color(k), linewidth=3, label=plain(name)) for k, name in enumerate(names)]
    figure.legend(
        handles=handles, loc='lower center', bbox_to_anchor=(0.5, 0.01), ncols=4, frameon=False, fontsize=9,
        labelcolor=INK,
    )  # fmt: skip
