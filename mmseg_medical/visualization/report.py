"""A run as one self-contained HTML page: no script, nothing loaded from elsewhere."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from html import escape

import numpy as np

from mmseg_medical.evaluation.results import cell, table_rows
from mmseg_medical.evaluation.summary import SegSummary
from mmseg_medical.evaluation.table import CaseTable
from mmseg_medical.visualization.evaluation_report import all_cases, results
from mmseg_medical.visualization.html import definitions, details, figure, html_table, page
from mmseg_medical.visualization.palette import Color

#: what :attr:`Example.heading` and the table of images rank by
RANKED_BY = 'mean Dice over the foreground classes that are present in the prediction or the truth of the image'


@dataclass(frozen=True)
class Example:
    """A picture of one image.

    Attributes:
        heading (str): why it is shown, such as "Best".
        caption (str): name and scores.
        picture (bytes): PNG or JPEG file.
    """

    heading: str
    caption: str
    picture: bytes = field(repr=False)


@dataclass(frozen=True)
class Report:
    """Content of the page.

    Attributes:
        title (str): heading of the page.
        subtitle (str): line below it.
        summary (SegSummary | None): results; None if the run had no
            :class:`~mmseg_medical.evaluation.metrics.MedicalSegMetric`.
        table (CaseTable | None): results of a metric that keeps its cases, of volumes for example.
        metrics (dict): logged numbers, shown where there is neither.
        facts (dict): what identifies the run: date, versions, checkpoint, ...
        config (str): full text of the configuration.
        colors (dict): class name -> RGB.
        curves (dict): title -> PNG file.
        examples (Sequence[Example]): pictures.
    """

    title: str
    subtitle: str = ''
    summary: SegSummary | None = None
    table: CaseTable | None = None
    metrics: dict[str, float] = field(default_factory=dict)
    facts: dict[str, str] = field(default_factory=dict)
    config: str = ''
    colors: dict[str, Color] = field(default_factory=dict)
    curves: dict[str, bytes] = field(default_factory=dict)
    examples: Sequence[Example] = ()


def select_examples(scores: np.ndarray) -> dict[str, int]:
    """Best, median and worst of the images that have a score, without repetition.

    Args:
        scores (np.ndarray): shape (N,), NaN where undefined.

    Returns:
        dict[str, int]: heading -> index; fewer than three for fewer images.

    Example:
        >>> select_examples(np.array([20.0, 90.0, np.nan, 50.0]))
        {'Best': 1, 'Median': 3, 'Worst': 0}
    """
    order = [int(i) for i in np.argsort(-scores, kind='stable') if not math.isnan(scores[i])]
    if not order:
        return {}
    picks = {'Best': order[0], 'Median': order[(len(order) - 1) // 2], 'Worst': order[-1]}
    if len(order) == 2:
        del picks['Median']
    return picks if len(order) > 1 else {'Only image': order[0]}


def render_report(report: Report) -> str:
    """Write the page.

    Args:
        report (Report): its content; all text is escaped.

    Returns:
        str: HTML.
    """
    summary = report.summary
    parts = [f'<h1>{escape(report.title)}</h1>', f'<p class="soft">{escape(report.subtitle)}</p>']
    if summary is not None:
        parts += [_cards(summary), '<h2>Results</h2>', _table(summary, report.colors)]
        if summary.curves:
            parts.append(_areas(summary, report.colors))
        parts.append(details('What the numbers mean', definitions(summary.conventions)))
    elif report.table is not None:
        parts += results(report.table)
    elif report.metrics:
        rows = [[name, f'{value:.4f}'] for name, value in report.metrics.items() if isinstance(value, int | float)]
        parts += ['<h2>Results</h2>', html_table(['metric', 'value'], rows)]
    if report.examples:
        parts.append('<h2>Images</h2>')
        if summary is not None or report.table is not None:
            parts.append(f'<p class="soft">Ranked by the {RANKED_BY}.</p>')
        parts += [figure(e.picture, f'{e.heading}: {e.caption}', e.heading) for e in report.examples]
    if summary is not None:
        parts.append(details(f'All {len(summary.cases)} images', _cases(summary)))
    elif report.table is not None:
        parts.append(all_cases(report.table))
    if report.curves:
        figures = ''.join(figure(png, title, title) for title, png in report.curves.items())
        parts.append(f'<h2>Curves</h2><div class="grid">{figures}</div>')
    parts.append(f'<h2>Run</h2>{definitions(report.facts)}')
    if report.config:
        parts.append(f'<details><summary>Configuration</summary><pre>{escape(report.config)}</pre></details>')
    return page(report.title, parts)


def _cards(summary: SegSummary) -> str:
    flat = summary.scalars()
    labels = {
        'mAUPR': 'mAUPR',
        'mDice_fg': 'mDice, foreground, pooled',
        'mIoU_fg': 'mIoU, foreground, pooled',
        'mDice_fg_per_image': 'mDice, foreground, mean over images',
        'mIoU': 'mIoU with background, pooled',
    }
    if len(summary.foreground) == len(summary.classes):
        del labels['mIoU']
    cards = (
        f'<div class="card"><b>{cell(flat[key])}</b><span>{escape(label)}</span></div>'
        for key, label in labels.items()
        if key in flat
    )
    return f'<div class="cards">{"".join(cards)}</div>'


def _table(summary: SegSummary, colors: dict[str, Color]) -> str:
    head, body, means = table_rows(summary)
    note = (
        f'Percent, {len(summary.cases)} images. IoU to recall: pixel counts pooled over all images. Dice per image: '
        'mean over the given number of images; a missed class and a false alarm count as 0 in it.'
    )
    return html_table(head, body, means, colors) + f'<p class="soft">{escape(note)}</p>'


def _areas(summary: SegSummary, colors: dict[str, Color]) -> str:
    head = ['precision-recall', 'AUPR', 'between', 'and', 'trapezoidal area', 'true pixels', 'chance level']
    rows = []
    for name, curve in summary.curves.items():
        values = (curve.average_precision, curve.lower, curve.upper, curve.area_trapezoid)
        texts = [f'{100 * v:.{d}f}' if math.isfinite(v) else '-' for v, d in zip(values, (2, 4, 4, 2), strict=True)]
        chance = 100 * curve.num_positives / max(curve.num_pixels, 1)
        rows.append([name, *texts, f'{curve.num_positives:,}', f'{chance:.3f}'])
    note = 'AUPR is the step-wise average precision; the interval bounds what binning the scores can change.'
    return (
        f'<h3>Area under the precision-recall curve</h3>{html_table(head, rows, (), colors)}<p class="soft">{note}</p>'
    )


def _cases(summary: SegSummary) -> str:
    scores = summary.image_score()
    order = sorted(
        range(len(scores)), key=lambda i: (math.isnan(scores[i]), -scores[i] if scores[i] == scores[i] else 0)
    )
    names = [summary.classes[k] for k in summary.foreground]
    rows = [
        [
            summary.cases[i].case_id,
            cell(scores[i]),
            *(cell(summary.case_scores['dice'][i, k]) for k in summary.foreground),
        ]
        for i in order
    ]
    return html_table(['image', 'mean Dice', *(f'Dice {name}' for name in names)], rows)
