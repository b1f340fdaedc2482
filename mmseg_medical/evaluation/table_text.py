"""A table of cases as text, for the console."""

from __future__ import annotations

import math

from mmseg_medical.evaluation.plain_text import plain_text
from mmseg_medical.evaluation.table import CaseTable

# Columns of the console; files and the report have all.
_SHOWN = ('dice', 'iou', 'hd95', 'assd')


def table_text(table: CaseTable, width: int = 150) -> str:
    """One row a class: means with their 95 % intervals, and the counts behind them.

    Args:
        table (CaseTable): all cases.
        width (int): characters a line.
    """
    from rich import box
    from rich.table import Table

    summary = table.summary()
    shown = [m for m in table.metrics if m in _SHOWN or m.startswith('nsd@')]
    caption = f'{len(table.case_ids)} cases. Mean over the defined cases [95 % bootstrap interval].'
    text = Table(box=box.SIMPLE_HEAD, caption=caption, caption_justify='left')
    text.add_column('class', no_wrap=True)
    for metric in shown:
        unit = table.unit_of(metric)
        text.add_column(f'{metric} {unit}'.strip(), justify='right', no_wrap=True)
    for count in ('valid', 'missed', 'false alarm', 'empty'):
        text.add_column(count, justify='right', no_wrap=True)
    for name in table.classes:
        scores = summary[name]
        counts = scores[table.metrics[0]]
        text.add_row(
            name,
            *(interval_text(scores[metric]).replace(' [', '\n[') for metric in shown),
            *(str(counts[key]) for key in ('n_valid', 'n_missed', 'n_false_alarm', 'n_empty')),
        )
    return plain_text(text, width)


def interval_text(described: dict[str, float | int]) -> str:
    """``0.8712 [0.8621, 0.8794]``; ``-`` where nothing is defined, no interval where there is none."""
    mean, low, high = (described[key] for key in ('mean', 'ci_low', 'ci_high'))
    if math.isnan(mean):
        return '-'
    if math.isnan(low) or math.isnan(high):
        return _digits(mean)
    return f'{_digits(mean)} [{_digits(low)}, {_digits(high)}]'


def _digits(value: float) -> str:
    """Four digits, or all before the point."""
    return f'{value:.4g}' if abs(value) < 1000 or math.isinf(value) else f'{value:,.0f}'
