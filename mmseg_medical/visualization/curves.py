"""Curves as PNG, drawn without pyplot and so without its global state."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from mmseg_medical.evaluation.functional.precision_recall import PrecisionRecall
from mmseg_medical.visualization.canvas import new_panels, png
from mmseg_medical.visualization.palette import Color

#: numbers by step of one logged name
Series = dict[str, list[tuple[float, float]]]


def precision_recall_figure(curves: dict[str, PrecisionRecall], colors: dict[str, Color] | None = None) -> bytes:
    """Draw precision over recall for each class, the area in the legend.

    Args:
        curves (dict): class name -> curve.
        colors (dict | None): class name -> RGB.

    Returns:
        bytes: PNG.
    """
    figure, (axes,) = new_panels(1, 6.4, 5.2)
    for name, curve in curves.items():
        color = _ink((colors or {}).get(name))
        if curve.num_positives == 0:
            axes.plot([], [], color=color, label=f'{name}: no pixel in the truth')
            continue
        thin = curve.thinned()
        label = f'{name}: AUPR {100 * curve.average_precision:.2f} %'
        recall, precision = np.concatenate(([0.0], thin.recall)), np.concatenate((thin.precision[:1], thin.precision))
        axes.step(recall, precision, where='pre', color=color, linewidth=1.8, label=label)
    axes.set(xlim=(0, 1), ylim=(0, 1.02), xlabel='recall', ylabel='precision', title='All pixels of the set')
    axes.legend(frameon=True, framealpha=0.9, edgecolor='none')
    return png(figure)


def training_figures(series: Series) -> dict[str, bytes]:
    """Draw losses, learning rate and validation scores over the steps.

    Args:
        series (dict): name -> (step, value) pairs, see :func:`read_scalars`.

    Returns:
        dict[str, bytes]: title -> PNG, of those that have points.
    """
    scores = {k: v for k, v in series.items() if k.startswith('m') and k[1:2].isupper()}
    aupr = {k: v for k, v in series.items() if k.startswith('AUPR.')}
    shown = {k: v for k, v in scores.items() if k in ('mAUPR', 'mIoU', 'mDice', 'mIoU_fg', 'mDice_fg')} or scores
    groups: dict[str, tuple[Series, str]] = {
        'Training loss': ({k: v for k, v in series.items() if 'loss' in k}, 'loss'),
        'Validation scores': (shown, 'percent'),
        'Validation AUPR': (aupr, 'percent'),
        'Learning rate': ({k: v for k, v in series.items() if k in ('lr', 'base_lr')}, 'learning rate'),
    }
    figures = {}
    for title, (lines, unit) in groups.items():
        lines = {name: _finite(points) for name, points in lines.items()}
        lines = {name: points for name, points in lines.items() if points}
        if lines:
            figures[title] = _line_figure(title, lines, unit)
    return figures


def _line_figure(title: str, lines: Series, unit: str) -> bytes:
    figure, (axes,) = new_panels(1, 6.4, 3.6)
    for name, points in lines.items():
        steps, values = np.array(points, dtype=float).T
        few = len(points) <= 60
        axes.plot(steps, values, linewidth=1.5, marker='o' if few else None, markersize=3, label=name)
    everything = [value for points in lines.values() for _, value in points]
    if unit == 'loss' and min(everything) > 0 and max(everything) > 50 * min(everything):
        axes.set_yscale('log')
    axes.set(xlabel='iteration', ylabel=unit, title=title)
    axes.legend(frameon=True, framealpha=0.9, edgecolor='none', fontsize=9)
    return png(figure)


def read_scalars(work_dir: str | Path) -> Series:
    """Read mmengine's logs of a training run: ``<work_dir>/*/vis_data/scalars.json``.

    Runs are read in the order of their time stamps; a resumed run replaces what an earlier one logged at later steps,
    a run from the start replaces everything. Runs that logged no training are left out. Steps are iterations: what
    mmengine logs by epochs, validations of trainings by epochs, gets the iteration that it was measured after.

    Args:
        work_dir (str | Path): folder of the training.

    Returns:
        dict: name -> (step, value) pairs, rising in step; empty if there is no log.
    """
    merged: Series = {}
    for path in sorted(Path(work_dir).glob('*/vis_data/scalars.json')):
        run = _read_run(path.read_text(encoding='utf-8').splitlines())
        if not any('loss' in name for name in run):
            continue
        first = min(points[0][0] for points in run.values())
        kept = {name: [point for point in points if point[0] < first] for name, points in merged.items()}
        merged = {name: kept.get(name, []) + run.get(name, []) for name in {**kept, **run}}
    return {name: points for name, points in merged.items() if points}


def _read_run(lines: Iterable[str]) -> Series:
    run: Series = {}
    iteration = 0.0
    for line in lines:
        try:
            entry = json.loads(line)
        except json.JSONDecodeError:
            continue  # the last line of a run that was killed
        if not isinstance(entry, dict) or not isinstance(entry.get('step'), int | float):
            continue
        step = float(entry['step'])
        if 'epoch' in entry:
            iteration = step
        elif iteration:  # a validation of a training by epochs, whose step is the epoch
            step = iteration
        for name, value in entry.items():
            if name not in ('step', 'iter', 'epoch') and isinstance(value, int | float):
                run.setdefault(name, []).append((step, float(value)))
    return {name: sorted(points, key=lambda point: point[0]) for name, points in run.items()}


def _finite(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    return [point for point in points if math.isfinite(point[1])]


def _ink(color: Color | None) -> tuple[float, ...] | None:
    """A class colour dark enough for a line on white."""
    if color is None:
        return None
    # yellow and pure green vanish on paper; Rec. 709 luminance
    luminance = float(np.dot(color, (0.2126, 0.7152, 0.0722))) / 255
    factor = min(1.0, 0.45 / luminance) if luminance > 0 else 1.0
    return tuple(factor * channel / 255 for channel in color)
