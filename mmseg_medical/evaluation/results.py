"""A summary as files and as a table of the console."""

from __future__ import annotations

import csv
import json
import math
from pathlib import Path
from typing import Any

import numpy as np

from mmseg_medical.evaluation.functional.overlap import SCORES
from mmseg_medical.evaluation.plain_text import plain_text
from mmseg_medical.evaluation.summary import HEADINGS, SegSummary
from mmseg_medical.files import atomic_write

METRICS_FILE = 'metrics.json'
CASES_FILE = 'per_image.csv'
CURVES_FILE = 'pr_curves.npz'


def write_results(summary: SegSummary, output_dir: str | Path, header: dict[str, Any] | None = None) -> list[Path]:
    """Write ``metrics.json``, ``per_image.csv`` and, where there are curves, ``pr_curves.npz``; each atomically.

    Args:
        summary (SegSummary): what to write.
        output_dir (str | Path): folder, made if missing.
        header (dict | None): further entries at the top of ``metrics.json`` (versions, date, ...).

    Returns:
        list[Path]: the files.
    """
    folder = Path(output_dir)
    files = [folder / METRICS_FILE, folder / CASES_FILE]
    with atomic_write(files[0]) as file:
        json.dump({**(header or {}), **summary.to_dict()}, file, indent=2, allow_nan=False)
        file.write('\n')
    with atomic_write(files[1]) as file:
        csv.writer(file, lineterminator='\n').writerows(case_rows(summary))
    if summary.curves:
        files.append(folder / CURVES_FILE)
        arrays = {}
        for name, curve in summary.curves.items():
            thin = curve.thinned()
            arrays.update({f'{name}/{key}': getattr(thin, key) for key in ('thresholds', 'precision', 'recall')})
        with atomic_write(files[-1], 'wb') as file:
            np.savez_compressed(file, **arrays)
    return files


def case_rows(summary: SegSummary) -> list[list[str | int]]:
    """Rows of the table of images: scores in percent, empty where undefined, and the counts they come from."""
    columns = [(k, name) for k, name in enumerate(summary.classes)]
    head: list[str | int] = ['case_id', 'img_path', 'Dice_fg_mean']
    head += [f'{HEADINGS[score]}.{name}' for _, name in columns for score in SCORES]
    head += [f'{key}.{name}' for _, name in columns for key in ('tp', 'fp', 'fn')]
    rows = [head]
    for i, (case, mean) in enumerate(zip(summary.cases, summary.image_score(), strict=True)):
        row: list[str | int] = [case.case_id, case.img_path, cell(mean, empty='')]
        row += [cell(summary.case_scores[score][i, k], empty='') for k, _ in columns for score in SCORES]
        row += [int(getattr(case.counts, key)[k]) for k, _ in columns for key in ('tp', 'fp', 'fn')]
        rows.append(row)
    return rows


def table_rows(summary: SegSummary) -> tuple[list[str], list[list[str]], list[list[str]]]:
    """Head, one row a class and the rows of means, as text; ``-`` where undefined.

    The class rows hold the pooled scores, the mean Dice over images with its number of images and of missed and false
    alarms, and the AUPR.
    """
    head = ['class', *HEADINGS.values()]
    head += ['Dice per image', 'images', 'missed', 'false alarms']
    if summary.curves:
        head.append('AUPR')
    body = []
    for k, name in enumerate(summary.classes):
        over = summary.image_mean('dice', k)
        row = [name, *(cell(summary.pooled[score][k]) for score in HEADINGS)]
        row += [cell(over['mean']), *(str(over[key]) for key in ('n_defined', 'n_missed', 'n_false_alarm'))]
        if summary.curves:
            curve = summary.curves.get(name)
            row.append(cell(100 * curve.average_precision) if curve else '')
        body.append(row)
    flat = summary.scalars()
    means = []
    for label, suffix, indices in _groups(summary):
        keys = [f'm{heading}{suffix}' for heading in HEADINGS.values()]
        defined = sum(bool(np.isfinite(summary.pooled['dice'][k])) for k in indices)
        row = [f'{label} ({defined} of {len(indices)})', *(cell(flat[key]) for key in keys)]
        row += [cell(flat[f'mDice{suffix}_per_image']), '', '', '']
        if summary.curves:
            row.append(cell(flat['mAUPR']) if suffix == '_fg' else '')
        means.append(row)
    return head, body, means


def _groups(summary: SegSummary) -> list[tuple[str, str, tuple[int, ...]]]:
    every = tuple(range(len(summary.classes)))
    groups = [
        ('mean without background' if len(summary.foreground) < len(every) else 'mean', '_fg', summary.foreground)
    ]
    if len(summary.foreground) < len(every):
        groups.insert(0, ('mean with background', '', every))
    return groups


def console_table(summary: SegSummary, width: int = 132) -> str:
    """The table as text, for a log."""
    from rich import box
    from rich.table import Table

    head, body, means = table_rows(summary)
    caption = f'{len(summary.cases)} images, percent. Columns IoU to Recall: pixel counts pooled over the images.'
    table = Table(box=box.SIMPLE_HEAD, caption=caption, caption_justify='left')
    for i, name in enumerate(head):
        table.add_column(name, justify='left' if i == 0 else 'right', no_wrap=True)
    for group in (body, means):
        for row in group:
            table.add_row(*row)
        table.add_section()
    return plain_text(table, width)


def cell(value: float, empty: str = '-') -> str:
    """A score with two digits, ``empty`` where it is undefined."""
    return f'{value:.2f}' if math.isfinite(value) else empty
