"""A comparison of methods as one self-contained HTML page with its figures."""

from __future__ import annotations

import math
from collections.abc import Mapping
from html import escape
from pathlib import Path

from mmseg_medical.evaluation.compare import Comparison
from mmseg_medical.evaluation.compare_files import RUN_HEADS, difference_text, p_text, run_rows
from mmseg_medical.evaluation.table import headline_metrics
from mmseg_medical.evaluation.table_text import interval_text
from mmseg_medical.visualization.comparison_figures import comparison_figures, difference_name
from mmseg_medical.visualization.evaluation_figures import file_name
from mmseg_medical.visualization.evaluation_report import (
    COUNTS,
    FIGURE_NOTE,
    Summary,
    class_details,
    count,
    failure_box,
    metric_head,
    run_facts,
    write_page,
)
from mmseg_medical.visualization.html import definitions, details, figure, html_table, page


def write_comparison_report(
    comparison: Comparison,
    out_dir: str | Path,
    failures: Mapping[str, Mapping[str, str]] | None = None,
    facts: Mapping[str, str] | None = None,
) -> list[Path]:
    """Write ``report.html`` and ``figures/*.png``, each whole or not at all; an older report is replaced.

    Args:
        comparison (Comparison): the methods.
        out_dir (str | Path): folder, made if missing.
        failures (Mapping | None): method -> case -> why it could not be evaluated.
        facts (Mapping[str, str] | None): what identifies the comparison, such as the folders.

    Returns:
        list[Path]: the files.
    """
    figures = comparison_figures(comparison)
    return write_page(render_comparison(comparison, figures, failures, facts), figures, out_dir)


def render_comparison(
    comparison: Comparison,
    figures: Mapping[str, bytes],
    failures: Mapping[str, Mapping[str, str]] | None = None,
    facts: Mapping[str, str] | None = None,
) -> str:
    """Write the page.

    Args:
        comparison (Comparison): the methods.
        figures (Mapping[str, bytes]): name -> PNG, of
            :func:`~mmseg_medical.visualization.comparison_figures.comparison_figures`.
        failures (Mapping | None): method -> case -> why it could not be evaluated.
        facts (Mapping[str, str] | None): shown at the end; the date and the version are added.

    Returns:
        str: HTML; all text is escaped.
    """
    table = comparison.table
    summaries = {name: own.summary() for name, own in comparison.tables.items()}
    lost = {f'{name}, {case}': why for name, cases in (failures or {}).items() for case, why in cases.items()}
    shown = headline_metrics(comparison.metrics)
    others = [metric for metric in comparison.metrics if metric not in shown]
    parts = [
        f'<h1>Comparison of {len(comparison.methods)} methods</h1>',
        f'<p class="soft">{count(len(table.case_ids), "case")}: {escape(", ".join(comparison.methods))}</p>',
        failure_box(lost),
        '<h2>Methods</h2>',
        html_table(*_methods(comparison, summaries)),
        '<p class="soft">Mean over the defined cases [95 % bootstrap interval], and how many cases of each state '
        'there are.</p>',
    ]
    parts += [
        details(
            f'All metrics of {name}',
            ''.join(class_details(own, class_name, summaries[name][class_name]) for class_name in own.classes),
        )
        for name, own in comparison.tables.items()
    ]
    parts += [
        '<h2>Differences</h2>',
        html_table(*_pairs(comparison, shown)),
        f'<p class="soft">{_pair_note(comparison)}</p>',
    ]
    if others:
        parts.append(details('Differences of the other metrics', html_table(*_pairs(comparison, others))))
    if comparison.runs:
        parts += ['<h2>Runs</h2>', html_table(list(RUN_HEADS), run_rows(comparison, shown))]
        parts.append(f'<p class="soft">{escape(comparison.conventions()["runs"])}.</p>')
    parts += ['<h2>Ranks</h2>', html_table(*_ranks(comparison, shown))]
    parts.append(
        '<p class="soft">Mean rank (1 is best) and cases in which the method is better than all others, over the cases '
        'in which all methods have a value.</p>'
    )
    if others:
        parts.append(details('Ranks by the other metrics', html_table(*_ranks(comparison, others))))
    conventions = {**table.conventions, **comparison.conventions()}
    parts += [
        details('What the numbers mean', definitions(conventions)),
        *_figures(comparison, figures),
        f'<h2>Run</h2>{definitions(run_facts(facts))}',
    ]
    return page('Comparison', [part for part in parts if part])


def _methods(comparison: Comparison, summaries: Mapping[str, Summary]) -> tuple[list[str], list[list[str]]]:
    table, shown = comparison.table, headline_metrics(comparison.metrics)
    head = ['class', 'method', *COUNTS.values(), *(metric_head(table, metric) for metric in shown)]
    body = [
        [
            *(class_name, method),
            *(str(summary[class_name][table.metrics[0]][key]) for key in COUNTS),
            *(interval_text(summary[class_name][metric]) for metric in shown),
        ]
        for class_name in table.classes
        for method, summary in summaries.items()
    ]
    return head, body


def _pairs(comparison: Comparison, metrics: list[str]) -> tuple[list[str], list[list[str]]]:
    head = ['class', 'metric', 'methods', 'mean difference [95 % interval]', 'Wilcoxon p', 'Holm']
    head += ['permutation p', 'Holm', 'better on average', 'cases', 'left out']
    body = [
        [
            *(name, metric_head(comparison.table, metric), f'{pair.first} − {pair.second}', difference_text(pair)),
            *map(p_text, (pair.wilcoxon.p_value, pair.wilcoxon_holm)),
            *map(p_text, (pair.permutation.p_value, pair.permutation_holm)),
            *(pair.better or '-', str(pair.num_pairs), str(pair.num_left_out)),
        ]
        for name in comparison.table.classes
        for metric in metrics
        for pair in comparison.pairs[name][metric]
    ]
    return head, body


def _pair_note(comparison: Comparison) -> str:
    conventions = comparison.conventions()
    return escape(f'Holm: {conventions["holm"]}. Tests: {conventions["tests"]}.')


def _ranks(comparison: Comparison, metrics: list[str]) -> tuple[list[str], list[list[str]]]:
    head = ['class', 'metric', *comparison.methods, 'cases', 'shared wins', 'left out']
    body = []
    for name in comparison.table.classes:
        for metric in metrics:
            ranks = comparison.ranks[name][metric]
            cells = [
                '-' if math.isnan(mean) else f'{mean:.2f} ({wins} won)'
                for mean, wins in zip(ranks.mean_rank, ranks.wins, strict=True)
            ]
            numbers = (ranks.num_cases, ranks.num_ties, ranks.num_left_out)
            body.append([name, metric_head(comparison.table, metric), *cells, *map(str, numbers)])
    return head, body


def _figures(comparison: Comparison, figures: Mapping[str, bytes]) -> list[str]:
    boxes, differences = [], []
    for metric in headline_metrics(comparison.metrics):
        if picture := figures.get(file_name('box', metric)):
            boxes.append(figure(picture, metric, f'box plot of {metric}'))
        for index, pair in enumerate(comparison.pairs[comparison.table.classes[0]][metric]):
            if picture := figures.get(difference_name(metric, index, pair)):
                caption = f'{metric}: {pair.first} − {pair.second}'
                differences.append(figure(picture, caption, f'differences of {caption}'))
    return [
        f'<h2>Distribution over the cases</h2><p class="soft">{FIGURE_NOTE}</p>',
        f'<div class="grid">{"".join(boxes)}</div>',
        f'<h2>Differences case by case</h2>{"".join(differences)}',
    ]
