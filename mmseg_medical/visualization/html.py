"""Pieces of self-contained HTML pages: no script of its own, nothing loaded from elsewhere, all text escaped."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from html import escape

from mmseg_medical.visualization.palette import Color
from mmseg_medical.visualization.report_style import STYLE


def page(title: str, parts: Sequence[str]) -> str:
    """A whole page of pieces."""
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f'<title>{escape(title)}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n<main>\n'
        + '\n'.join(parts)
        + '\n</main>\n</body>\n</html>\n'
    )


def html_table(
    head: Sequence[str],
    body: Sequence[Sequence[str]],
    means: Sequence[Sequence[str]] = (),
    colors: dict[str, Color] | None = None,
) -> str:
    """A table; first cells that are names of ``colors`` get a swatch, rows of ``means`` are marked."""

    def row(cells: Sequence[str], kind: str = '') -> str:
        first = _swatch((colors or {}).get(cells[0])) + escape(cells[0])
        rest = ''.join(f'<td>{escape(text)}</td>' for text in cells[1:])
        return f'<tr{kind}><td>{first}</td>{rest}</tr>'

    heads = ''.join(f'<th scope="col">{escape(name)}</th>' for name in head)
    rows = [row(cells) for cells in body] + [row(cells, ' class="mean"') for cells in means]
    return f'<div class="scroll"><table><thead><tr>{heads}</tr></thead><tbody>{"".join(rows)}</tbody></table></div>'


def _swatch(color: Color | None) -> str:
    return '' if color is None else f'<i class="swatch" style="background:rgb{tuple(color)}"></i>'


def definitions(entries: Mapping[str, str]) -> str:
    """A list of terms and what they mean."""
    items = (f'<dt>{escape(key)}</dt><dd>{escape(value)}</dd>' for key, value in entries.items())
    return f'<dl>{"".join(items)}</dl>'


def details(title: str, content: str) -> str:
    """HTML that opens on a click."""
    return f'<details><summary>{escape(title)}</summary><div>{content}</div></details>'


def figure(picture: bytes, caption: str, alt: str) -> str:
    """A PNG or JPEG file inside the page."""
    kind = 'png' if picture.startswith(b'\x89PNG') else 'jpeg'
    source = f'data:image/{kind};base64,{base64.b64encode(picture).decode()}'
    return f'<figure><img src="{source}" alt="{escape(alt)}"><figcaption>{escape(caption)}</figcaption></figure>'
