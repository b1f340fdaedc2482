"""Tables for logs and pipes."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.table import Table


def plain_text(table: Table, width: int) -> str:
    """A table without colours, and without blanks at the ends of its lines.

    Args:
        table (rich.table.Table): what to write.
        width (int): characters a line.
    """
    from rich.console import Console

    buffer = io.StringIO()
    Console(file=buffer, width=width, no_color=True, highlight=False, markup=False).print(table)
    return '\n'.join(line.rstrip() for line in buffer.getvalue().splitlines())


def text_table(head: Sequence[str], rows: Sequence[Sequence[str]], width: int) -> str:
    """A table for the console, the first column left and whole, the others right.

    Args:
        head (Sequence[str]): names of the columns.
        rows (Sequence[Sequence[str]]): cells.
        width (int): characters a line.
    """
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD)
    for i, name in enumerate(head):
        table.add_column(name, justify='right' if i else 'left', no_wrap=not i, overflow='fold')
    for row in rows:
        table.add_row(*row)
    return plain_text(table, width)


def markdown_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    r"""The same for a page.

    >>> print(markdown_table(['name', 'dice'], [['a|b', '0.5']]))
    | name | dice |
    | --- | ---: |
    | a\|b | 0.5 |
    """
    lines = [head, ['---', *['---:'] * (len(head) - 1)], *rows]
    return '\n'.join('| ' + ' | '.join(cell.replace('|', '\\|') for cell in cells) + ' |' for cells in lines)
