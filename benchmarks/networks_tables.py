"""Tables of what ``networks.py`` measured, for a reader at the terminal."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.table import Table

WHATS = ('forward', 'training step')


def print_tables(results: dict[str, Any]) -> None:
    """One table a section."""
    console = Console()
    for section, found in results.items():
        kind = section.split(',')[0]
        if kind == 'networks':
            console.print(_times(found, 'HDC-HRNet, ms (times ours)', 'ours'))
        elif kind == 'modes':
            console.print(_times(found, 'ours in other modes, ms (times plain)', 'plain'))
        elif kind == 'blocks':
            console.print(_blocks(found))
        else:
            console.print(_memory(found))


def _times(cases: dict[str, Any], title: str, base: str) -> Table:
    table = Table('case', 'side', *WHATS, title=title)
    for case, row in cases.items():
        for name, times in row['sides'].items():
            ratios = row[f'over {base}'].get(name, dict.fromkeys(WHATS, 1))
            table.add_row(case, name, *(f'{times[what]["ms"]:.1f} ({ratios[what]:.2f})' for what in WHATS))
            case = ''
        for name, reason in row.get('not available', {}).items():
            table.add_row('', name, 'not available', reason)
    return table


def _blocks(shapes: dict[str, Any]) -> Table:
    table = Table('shape', 'block', *WHATS, title='blocks, ms of ours (times ours that the specification takes)')
    for shape, blocks in shapes.items():
        for name, row in blocks.items():
            (ratios,) = row['over ours'].values()
            ours = row['sides']['ours']
            table.add_row(shape, name, *(f'{ours[what]["ms"]:.2f} ({ratios[what]:.2f})' for what in WHATS))
            shape = ''
    return table


def _memory(cases: dict[str, Any]) -> Table:
    whats = ('forward_mb', 'training_step_mb')
    table = Table('case', 'side', *whats, title='growth of the peak in a fresh process, MB')
    for case, sides in cases.items():
        for name, found in sides.items():
            table.add_row(case, name, *(f'{found[what]:.0f}' for what in whats))
            case = ''
    return table
