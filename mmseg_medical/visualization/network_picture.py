"""A network as a picture: its parts as boxes, what flows between them as arrows."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from itertools import groupby, pairwise
from typing import TYPE_CHECKING, Any

from mmseg_medical.visualization.canvas import SERIES, SOFT
from mmseg_medical.visualization.network_flow import INPUT, OUTPUT, Node, Shape
from mmseg_medical.visualization.network_graph import NetworkGraph
from mmseg_medical.visualization.network_layout import BOX_HEIGHT, Box, NetworkLayout, Point

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_INK, _WIRE, _BAND = '#1f2328', '#6b7480', '#f4f6f8'
_FONT_SIZE = 7.0
_LABELS, _TITLE, _BORDER = 0.85, 0.5, 0.12  # inches


def network_picture(graph: NetworkGraph, kind: str = 'svg') -> bytes:
    """Draw a network; the same bytes for the same graph.

    Args:
        graph (NetworkGraph): See :func:`~mmseg_medical.visualization.network_graph.trace`.
        kind (str): ``'svg'`` or ``'png'``.

    Returns:
        bytes: The file.
    """
    from matplotlib import rc_context
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    dilated = any(dilation > 1 for node in graph.nodes for dilation in node.dilations)
    texts = {node.name: box_lines(node, len(graph.size), dilated) for node in graph.nodes}
    layout = NetworkLayout(graph, {name: _text_width(lines) + 0.22 for name, lines in texts.items()})
    width, height = layout.width + _LABELS + 2 * _BORDER, layout.height + _TITLE + 2 * _BORDER
    style: Any = {
        'svg.fonttype': 'none',  # text as text keeps the file small
        'svg.hashsalt': 'network',  # makes the names inside it the same every time
        'font.family': 'sans-serif',
        'font.sans-serif': ['DejaVu Sans', 'Verdana', 'Arial', 'sans-serif'],  # an SVG names them all
    }
    with rc_context(style):
        figure = Figure(figsize=(width, height), facecolor='white')
        FigureCanvasAgg(figure)
        axes = figure.add_axes((0, 0, 1, 1))
        axes.set(xlim=(-_LABELS - _BORDER, layout.width + _BORDER), ylim=(layout.height + _BORDER, -_TITLE - _BORDER))
        axes.axis('off')
        _title(axes, graph)
        _bands(axes, graph, layout)
        for way in layout.arrows:
            _arrow(axes, way)
        colors = _colors(graph)
        for name, box in layout.boxes.items():
            _box(axes, box, texts[name], colors[name])
        buffer = io.BytesIO()
        # a date would make every file another one
        figure.savefig(buffer, format=kind, dpi=144, metadata={'Date': None} if kind == 'svg' else None)
    return buffer.getvalue()


def box_lines(node: Node, rank: int, dilated: bool = False) -> list[str]:
    """Text of a box: name, blocks, dilations, channels and size, parameters.

    Args:
        node (Node): Whose box.
        rank (int): Number of spatial axes.
        dilated (bool): Whether dilations of 1 are said too, of deformable blocks.
    """
    if node.name in (INPUT, OUTPUT):
        return [node.name, *(by(shape) for shape in node.outputs[:1])]
    lines = [short_name(node.name), row_of_blocks(node.blocks)]
    if any(dilation > 1 for dilation in node.dilations) or (dilated and node.deformable):
        lines.append(f'dilation {", ".join(map(str, node.dilations))}')
    maps = [shape for shape in node.outputs if len(shape) == rank + 1]
    lines += [by(shape) for shape in maps[:1]]
    return [*lines, f'{node.parameters:,}']


def _text_width(lines: Sequence[str]) -> float:
    """Inches that the longest line takes, the first being bold; letters of DejaVu Sans at 7 points."""
    return max([0.061 * len(lines[0]), *(0.054 * len(line) for line in lines[1:])])


def short_name(name: str) -> str:
    """Name without the part of the segmentor that it is in.

    >>> short_name('backbone.stages.0.fusion'), short_name('decode_head'), short_name('stages.0')
    ('stages.0.fusion', 'decode_head', 'stages.0')
    """
    first, _, rest = name.partition('.')
    return rest if rest and first in ('backbone', 'neck', 'decode_head') else name


def row_of_blocks(blocks: Sequence[str]) -> str:
    """Write what repeats once.

    >>> row_of_blocks(['Dcn'] * 4), row_of_blocks(['Conv', 'Norm'] * 2), row_of_blocks(['Up', 'Conv', 'Conv'])
    ('4 × Dcn', '2 × (Conv, Norm)', 'Up, 2 × Conv')
    """
    number = len(blocks)
    period = next(
        p for p in range(1, number + 1) if number % p == 0 and list(blocks) == list(blocks[:p]) * (number // p)
    )
    if 1 < period < number:
        return f'{number // period} × ({row_of_blocks(blocks[:period])})'
    runs = [(name, len(list(run))) for name, run in groupby(blocks)]
    return ', '.join(name if count == 1 else f'{count} × {name}' for name, count in runs)


def by(shape: Shape) -> str:
    """Write a shape.

    >>> by((48, 56, 56))
    '48 × 56 × 56'
    """
    return ' × '.join(map(str, shape))


def _title(axes: Axes, graph: NetworkGraph) -> None:
    rest = graph.parameters - sum(node.parameters for node in graph.nodes)
    text = f'{graph.parameters:,} parameters'
    if rest:
        text += f', {rest:,} of them in no box: not called in this run, or used without their module'
    x, y = -_LABELS, -_TITLE
    axes.text(x, y + 0.08, graph.title, fontsize=11, fontweight='bold', color=_INK, va='center')
    axes.text(x, y + 0.3, text, fontsize=8, color=SOFT, va='center')


def _bands(axes: Axes, graph: NetworkGraph, layout: NetworkLayout) -> None:
    from matplotlib.patches import Rectangle

    for size, (top, bottom) in zip(layout.sizes, layout.bands, strict=True):
        around = (-_LABELS, top - 0.1), layout.width + _LABELS, bottom - top + 0.2
        axes.add_patch(Rectangle(*around, facecolor=_BAND, edgecolor='none', zorder=0))
        ratios = [full / n for full, n in zip(graph.size, size, strict=True)]
        mean = math.prod(ratios) ** (1 / len(ratios))
        exact = f'{mean:.0f}' if abs(mean - round(mean)) < 0.06 * mean else f'{mean:.1f}'
        y = top + BOX_HEIGHT / 2
        axes.text(-_LABELS + 0.08, y - 0.1, f'1/{exact}', fontsize=9, fontweight='bold', color=SOFT, va='center')
        axes.text(-_LABELS + 0.08, y + 0.1, by(size), fontsize=6.5, color=SOFT, va='center')


def _colors(graph: NetworkGraph) -> dict[str, str]:
    """Colour of each node, one for each set of blocks, in the order of appearance."""
    kinds = dict.fromkeys(frozenset(node.blocks) for node in graph.nodes if node.blocks)
    color = {kind: SERIES[i % (len(SERIES) - 1)] for i, kind in enumerate(kinds)}
    return {node.name: color.get(frozenset(node.blocks), SERIES[-1]) for node in graph.nodes}


def _box(axes: Axes, box: Box, lines: Sequence[str], color: str) -> None:
    from matplotlib.colors import to_rgb
    from matplotlib.patches import FancyBboxPatch

    tint = tuple(1 - 0.16 * (1 - channel) for channel in to_rgb(color))
    size = (box.left, box.top), box.right - box.left, box.bottom - box.top
    axes.add_patch(
        FancyBboxPatch(
            *size, boxstyle='round,pad=0,rounding_size=0.06', facecolor=tint, edgecolor=color, linewidth=1.1, zorder=3
        )
    )
    x, y = (box.left + box.right) / 2, (box.top + box.bottom) / 2
    if box.tall:
        shown = lines[:1] if not box.node.blocks else [lines[0], f'{box.node.blocks[-1]}, {lines[-1]}']
        step, rotation = (0.15, 0.0), 90
    else:
        shown, step, rotation = list(lines), (0.0, 0.148), 0
    for i, line in enumerate(shown):
        offset = i - (len(shown) - 1) / 2
        axes.text(
            x + offset * step[0],
            y + offset * step[1],
            line,
            fontsize=_FONT_SIZE,
            fontweight='bold' if i == 0 else 'normal',
            color=_INK if i < len(shown) - 1 or len(shown) == 1 else SOFT,
            ha='center',
            va='center',
            rotation=rotation,
            zorder=4,
        )


def _arrow(axes: Axes, way: Sequence[Point], radius: float = 0.07) -> None:
    """Line with rounded corners and a head."""
    from matplotlib.patches import PathPatch, Polygon
    from matplotlib.path import Path

    tip, (dx, dy) = way[-1], _direction(way[-2], way[-1])
    foot = (tip[0] - 0.08 * dx, tip[1] - 0.08 * dy)
    corners = [*way[:-1], foot]
    points, codes = [corners[0]], [int(Path.MOVETO)]
    for (before, corner), (_, after) in pairwise(pairwise(corners)):
        back, on = _direction(corner, before), _direction(corner, after)
        near = min(radius, math.dist(before, corner) / 2, math.dist(corner, after) / 2)
        points += [_step(corner, back, near), corner, _step(corner, on, near)]
        codes += [int(Path.LINETO), int(Path.CURVE3), int(Path.CURVE3)]
    path = Path([*points, foot], [*codes, int(Path.LINETO)])
    axes.add_patch(PathPatch(path, facecolor='none', edgecolor=_WIRE, linewidth=1.1, zorder=2))
    head = [tip, (foot[0] - 0.035 * dy, foot[1] + 0.035 * dx), (foot[0] + 0.035 * dy, foot[1] - 0.035 * dx)]
    axes.add_patch(Polygon(head, closed=True, facecolor=_WIRE, edgecolor='none', zorder=2))


def _direction(start: Point, end: Point) -> Point:
    length = math.dist(start, end) or 1.0
    return (end[0] - start[0]) / length, (end[1] - start[1]) / length


def _step(start: Point, direction: Point, length: float) -> Point:
    return start[0] + length * direction[0], start[1] + length * direction[1]
