"""All files that a sweep leaves: results, tables and pictures."""

from __future__ import annotations

from collections.abc import Sequence

from mmseg_medical.engine.sweep.plan import Sweep
from mmseg_medical.engine.sweep.results import TrialResult, importances, write_results
from mmseg_medical.engine.sweep.storage import StudyStore
from mmseg_medical.engine.sweep.table import write_tables
from mmseg_medical.files import atomic_write
from mmseg_medical.visualization.sweep_figures import Point, history_figure, importance_figure, slices_figure


def write_report(sweep: Sweep, store: StudyStore, results: Sequence[TrialResult]) -> list[str]:
    """Write everything to the work dir, each file whole or not at all.

    Returns:
        list[str]: names of the files there.
    """
    files = [write_results(sweep, results)[0].name, *write_tables(sweep, results)]
    points = [Point(r.number, r.value, r.values, r.std, r.status, r.curve) for r in results]
    figures = {
        'history': history_figure(points, sweep.metric, sweep.higher),
        'slices': slices_figure(points, sweep.metric),
        'importance': importance_figure(importances(store)),
    }
    for name, content in figures.items():
        if content is not None:
            files.append(f'{name}.png')
            with atomic_write(sweep.work_dir / files[-1], 'wb') as file:
                file.write(content)
    return files
