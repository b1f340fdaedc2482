"""An evaluation of a folder as one self-contained HTML page with its figures."""

from __future__ import annotations

import datetime
import math
from collections.abc import Mapping
from html import escape
from pathlib import Path

import numpy as np

from mmseg_medical import __version__
from mmseg_medical.evaluation.functional.empty import STATES
from mmseg_medical.evaluation.table import CaseTable, headline_metrics, higher_is_better
from mmseg_medical.evaluation.table_text import interval_text
from mmseg_medical.files import atomic_write
from mmseg_medical.visualization.evaluation_figures import drawn_metrics, evaluation_figures, file_name
from mmseg_medical.visualization.html import definitions, details, figure, html_table, page

REPORT_FILE = 'report.html'
FIGURES_FOLDER = 'figures'
#: summary of one table: class -> metric -> numbers
Summary = dict[str, dict[str, dict[str, float | int]]]

#: counts of a summary and what tables call them
COUNTS = {'n_valid': 'valid', 'n_missed': 'missed', 'n_false_alarm': 'false alarms', 'n_empty': 'rightly empty'}
FIGURE_NOTE = (
    'Every dot is a case, by its state: what is missed or a false alarm has the value that the convention for empty '
    'masks says. Box: quartiles and median; whiskers reach to the last case within 1.5 times the box. Axes marked in '
    'powers of ten are logarithmic beyond the mark next to 0.'
)
_AGREEMENT_NOTE = (
    'Line: mean difference (bias). Dashed: 95 % limits of agreement, 1.96 standard deviations around it. Cases without '
    'the class in both masks are left out.'
)


def write_evaluation_report(
    table: CaseTable,
    out_dir: str | Path,
    failures: Mapping[str, str] | None = None,
    facts: Mapping[str, str] | None = None,
) -> list[Path]:
    """Write ``report.html`` and ``figures/*.png``, each whole or not at all; an older report is replaced.

    Args:
        table (CaseTable): all cases.
        out_dir (str | Path): folder, made if missing.
        failures (Mapping[str, str] | None): case -> why it could not be evaluated.
        facts (Mapping[str, str] | None): what identifies the evaluation, such as the folders.

    Returns:
        list[Path]: the files.
    """
    figures = evaluation_figures(table)
    return write_page(render_evaluation(table, figures, failures, facts), figures, out_dir)


def write_page(text: str, figures: Mapping[str, bytes], out_dir: str | Path) -> list[Path]:
    """Write a report and, beside it, its figures as PNG files."""
    files = [Path(out_dir) / REPORT_FILE]
    with atomic_write(files[0]) as file:
        file.write(text)
    for name, picture in figures.items():
        files.append(Path(out_dir) / FIGURES_FOLDER / f'{name}.png')
        with atomic_write(files[-1], 'wb') as file:
            file.write(picture)
    return files


def render_evaluation(
    table: CaseTable,
    figures: Mapping[str, bytes],
    failures: Mapping[str, str] | None = None,
    facts: Mapping[str, str] | None = None,
) -> str:
    """Write the page.

    Args:
        table (CaseTable): all cases.
        figures (Mapping[str, bytes]): name -> PNG, of
            :func:`~mmseg_medical.visualization.evaluation_figures.evaluation_figures`.
        failures (Mapping[str, str] | None): case -> why it could not be evaluated.
        facts (Mapping[str, str] | None): shown at the end; the date and the version are added.

    Returns:
        str: HTML; all text is escaped.
    """
    classes = f'{len(table.classes)} class{"" if len(table.classes) == 1 else "es"}'
    parts = [
        '<h1>Evaluation</h1>',
        f'<p class="soft">{count(len(table.case_ids), "case")}, {escape(classes)}</p>',
        failure_box(failures or {}),
        *results(table),
        *_figures(table, figures),
        '<h2>Cases</h2>',
        all_cases(table),
        f'<h2>Run</h2>{definitions(run_facts(facts))}',
    ]
    return page('Evaluation', [part for part in parts if part])


def results(table: CaseTable) -> list[str]:
    """Cards, the table of the classes, and what opens on a click: all metrics, and what the numbers mean."""
    summary = table.summary()
    return [
        _cards(table, summary),
        '<h2>Results</h2>',
        html_table(*_overview(table, summary)),
        '<p class="soft">Mean over the defined cases [95 % bootstrap interval], and how many cases of each state '
        'there are.</p>',
        *(class_details(table, name, summary[name]) for name in table.classes),
        details('What the numbers mean', definitions(table.conventions)),
    ]


def all_cases(table: CaseTable) -> str:
    """All values of all cases, to open on a click."""
    return details(f'All {count(len(table.case_ids), "case")}', html_table(table.rows()[0], table.rows()[1:]))


def count(number: int, noun: str) -> str:
    """``1 case``, ``2 cases``."""
    return f'{number} {noun}{"" if number == 1 else "s"}'


def run_facts(facts: Mapping[str, str] | None) -> dict[str, str]:
    """The given facts with date and version."""
    date = datetime.datetime.now().astimezone().strftime('%Y-%m-%d %H:%M %Z')
    return {**(facts or {}), 'date': date, 'version': f'mmseg_medical {__version__}'}


def failure_box(failures: Mapping[str, str]) -> str:
    """A marked box with the files that are missing from all numbers; nothing if there are none.

    Args:
        failures (Mapping[str, str]): case -> why it could not be evaluated.
    """
    if not failures:
        return ''
    title = (
        f'{count(len(failures), "file")} could not be evaluated and {"is" if len(failures) == 1 else "are"} left out'
    )
    return f'<div class="card" style="border: 2px solid #d9302c"><h3>{escape(title)}</h3>{definitions(failures)}</div>'


def metric_head(table: CaseTable, metric: str) -> str:
    """Name and unit of a metric, with an arrow towards its better side."""
    arrow = {True: ' ↑', False: ' ↓', None: ''}[higher_is_better(metric)]
    return f'{metric}{f" {unit}" if (unit := table.unit_of(metric)) else ""}{arrow}'


def _cards(table: CaseTable, summary: Summary) -> str:
    cards = []
    for metric in headline_metrics(table.metrics):
        means = [summary[name][metric]['mean'] for name in table.classes]
        defined = [mean for mean in means if not math.isnan(mean)]
        value = f'{np.mean(defined):.4g}' if defined else '-'
        name = f'{metric} {table.unit_of(metric)}'.strip()
        over = f'{len(defined)} of ' if len(defined) < len(means) else ''
        title = name if len(means) == 1 else f'{name}, mean over {over}{len(means)} classes'
        cards.append((value, title))
    for state in ('missed', 'false_alarm'):
        number = int((table.states == STATES.index(state)).sum())
        cards.append((str(number), COUNTS[f'n_{state}']))
    items = (f'<div class="card"><b>{escape(value)}</b><span>{escape(title)}</span></div>' for value, title in cards)
    return f'<div class="cards">{"".join(items)}</div>'


def _overview(table: CaseTable, summary: Summary) -> tuple[list[str], list[list[str]]]:
    shown = headline_metrics(table.metrics)
    head = ['class', *COUNTS.values(), *(metric_head(table, metric) for metric in shown)]
    body = [
        [
            name,
            *(str(summary[name][table.metrics[0]][key]) for key in COUNTS),
            *(interval_text(summary[name][metric]) for metric in shown),
        ]
        for name in table.classes
    ]
    return head, body


def class_details(table: CaseTable, class_name: str, described: Mapping[str, Mapping[str, float | int]]) -> str:
    """All metrics of one class with their spread, and the counts behind them, to open on a click.

    Args:
        table (CaseTable): all cases.
        class_name (str): one of its classes.
        described (Mapping): metric -> numbers, the class's part of the table's summary.
    """
    rows = []
    for metric in table.metrics:
        numbers = dict(described[metric])
        row = [metric_head(table, metric), interval_text(numbers), _cell(numbers['median']), _cell(numbers['std'])]
        rows.append([*row, f'{numbers["n_defined"]} of {numbers["n_cases"]}'])
    head = ['metric', 'mean [95 % interval]', 'median', 'standard deviation', 'defined cases']
    counts = ', '.join(f'{described[table.metrics[0]][key]} {word}' for key, word in COUNTS.items())
    return details(f'{class_name}, all metrics: {counts}', html_table(head, rows))


def _cell(value: float) -> str:
    return '-' if math.isnan(value) else f'{value:.4g}'


def _figures(table: CaseTable, figures: Mapping[str, bytes]) -> list[str]:
    def grid(kind: str) -> str:
        names = {file_name(kind, metric): metric for metric in drawn_metrics(table)}
        shown = (figure(figures[n], m, f'{kind} plot of {m}') for n, m in names.items() if n in figures)
        return f'<div class="grid">{"".join(shown)}</div>'

    parts = [
        f'<h2>Distribution over the cases</h2><p class="soft">{FIGURE_NOTE}</p>',
        grid('box'),
        details('Violin plots', grid('violin')),
    ]
    if 'bland_altman' in figures:
        parts.append('<h2>Agreement of the volumes</h2>')
        parts.append(figure(figures['bland_altman'], _AGREEMENT_NOTE, 'Bland-Altman plot'))
    return parts
