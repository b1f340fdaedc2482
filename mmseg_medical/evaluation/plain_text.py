"""Tables for logs and pipes."""

from __future__ import annotations

import io
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
