"""What the cases of a data set are like, as PNG."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from mmseg_medical.visualization.canvas import SERIES, SOFT, label, new_panels, png, spread, write_in
from mmseg_medical.visualization.distributions import Row, draw_rows

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_AXES = ('left to right', 'back to front', 'bottom to top')


def fingerprint_figures(fingerprint: Mapping[str, Any]) -> dict[str, bytes]:
    """Draw a fingerprint of at least one measured case.

    Args:
        fingerprint (Mapping): Of :func:`mmseg_medical.datasets.fingerprint.summarise`.

    Returns:
        dict[str, bytes]: ``sizes``, ``class_volumes`` (with classes) and ``intensities`` -> PNG.
    """
    cases = list(fingerprint['cases'].values())
    figures = {'sizes': _sizes(cases), 'intensities': _intensities(cases, list(fingerprint['intensity']))}
    if fingerprint['classes']:
        figures['class_volumes'] = _class_volumes(cases, list(fingerprint['classes']))
    return figures


def _sizes(cases: Sequence[Mapping[str, Any]]) -> bytes:
    figure, panels = new_panels(2, 5.2, 2.6, columns=2)
    for axes, key, unit in zip(
        panels, ('size_ras', 'spacing_ras_mm'), ('size in voxels', 'spacing in mm'), strict=True
    ):
        known = [case[key] for case in cases if case[key] is not None]
        if known:
            columns = np.array(known, np.float64).T
            _rows(axes, dict(zip(_AXES, columns, strict=True)), unit)
        else:
            write_in(axes, 'no file says its spacing')
    return png(figure)


def _class_volumes(cases: Sequence[Mapping[str, Any]], classes: Sequence[str]) -> bytes:
    known = all(one['volume_mm3'] is not None for case in cases for one in case['classes'].values())
    key, unit, factor = ('volume_mm3', 'volume in mL', 1e-3) if known else ('voxels', 'volume in voxels', 1.0)

    def values(name: str, what: Callable[[Mapping[str, Any]], float]) -> np.ndarray:
        return np.array([what(case['classes'][name]) for case in cases if case['classes'].get(name, {}).get('voxels')])

    figure, panels = new_panels(2, 5.2, 1.2 + 0.5 * len(classes), columns=2)
    _rows(panels[0], {name: values(name, lambda one: factor * one[key]) for name in classes}, unit)
    _rows(panels[1], {name: values(name, lambda one: one['components']) for name in classes}, 'connected components')
    return png(figure)


def _rows(axes: Axes, values: Mapping[str, np.ndarray], unit: str) -> None:
    rows = [
        Row(k, 1.0, column, np.zeros(len(column), int), SERIES[k % len(SERIES)])
        for k, column in enumerate(values.values())
    ]
    draw_rows(axes, rows, violins=False, score=False)
    axes.set(ylim=(len(rows) - 0.5, -0.5), xlabel=unit)
    axes.set_yticks(range(len(rows)), [f'{label(name)}\nn = {len(column)}' for name, column in values.items()])
    axes.grid(visible=False, axis='y')


def _intensities(cases: Sequence[Mapping[str, Any]], modalities: Sequence[str]) -> bytes:
    """Range from the 0.5th to the 99.5th percentile of every case, whole image and foreground, by median."""
    figure, panels = new_panels(len(modalities), 6.4, 3.4, columns=2)
    for axes, name in zip(panels, modalities, strict=True):
        own = [case['intensity'][name] for case in cases if name in case['intensity']]
        own.sort(key=lambda one: one['whole']['median'])
        shown = []
        for part, color, shift in (('whole', SOFT, -0.2), ('foreground', SERIES[1], 0.2)):
            drawn = [(place + shift, one[part]) for place, one in enumerate(own) if one[part] is not None]
            if not drawn:
                continue
            places = [place for place, _ in drawn]
            low, median, high = (np.array([one[key] for _, one in drawn]) for key in ('p0_5', 'median', 'p99_5'))
            axes.vlines(places, low, high, color=color, linewidth=max(0.6, min(3.0, 120 / len(own))), alpha=0.6)
            axes.scatter(places, median, s=6, color=color, zorder=3, label='whole image' if part == 'whole' else part)
            shown += [low, median, high]
        spread(np.concatenate(shown), 'y', axes)
        axes.set(title=label(name, 40, 1), xlabel='cases, by their median', ylabel='intensity, 0.5 % to 99.5 %')
        axes.legend(frameon=True, framealpha=0.9, edgecolor='none', fontsize=9)
    return png(figure)
