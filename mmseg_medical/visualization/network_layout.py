"""Where the parts of a network are drawn: rows by resolution, columns by order of execution, arrows around boxes."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from mmseg_medical.visualization.network_flow import INPUT, Edge, Node, Shape
from mmseg_medical.visualization.network_graph import NetworkGraph

Point = tuple[float, float]

# inches
BOX_HEIGHT = 0.82
TALL_WIDTH = 0.4
_GAP, _SLOT_GAP, _ROW_GAP, _LANE, _MARGIN = 0.3, 0.1, 0.34, 0.11, 0.03


@dataclass(frozen=True)
class Box:
    """A node's place, in inches, y downwards; one that takes or gives several maps is tall and spans their rows."""

    node: Node
    rows: tuple[int, ...]
    left: float
    top: float
    right: float
    bottom: float

    @property
    def tall(self) -> bool:
        """Whether it spans several rows."""
        return len(self.rows) > 1

    def covers(self, start: Point, end: Point) -> bool:
        """Whether a horizontal or vertical line meets the box or comes close to it."""
        (x0, x1), (y0, y1) = sorted((start[0], end[0])), sorted((start[1], end[1]))
        beside = x1 < self.left - _MARGIN or x0 > self.right + _MARGIN
        return not (beside or y1 < self.top - _MARGIN or y0 > self.bottom + _MARGIN)


class NetworkLayout:
    """Places of boxes and arrows.

    Args:
        graph (NetworkGraph): What is drawn.
        widths (Mapping[str, float]): Of the boxes that are not tall, by the names of their nodes, in inches; those of
            one column become as wide as the widest.
    """

    def __init__(self, graph: NetworkGraph, widths: Mapping[str, float]) -> None:
        self._rank = len(graph.size)
        self._rows = {node.name: rows for node, rows in self._rows_of(graph)}
        columns = self._columns(graph)
        cells: dict[tuple[int, int], list[str]] = {}
        for node in graph.nodes:
            if len(rows := self._rows[node.name]) == 1:
                cells.setdefault((columns[node.name], rows[0]), []).append(node.name)
        slots = [max([1, *(len(names) for (_, row), names in cells.items() if row == r)]) for r in range(self.num_rows)]
        heights = [n * BOX_HEIGHT + (n - 1) * _SLOT_GAP for n in slots]
        #: top and bottom of each row, in inches
        self.bands = [
            (top := sum(heights[:r]) + r * _ROW_GAP + _ROW_GAP / 2, top + height) for r, height in enumerate(heights)
        ]
        slot = {name: i for names in cells.values() for i, name in enumerate(names)}
        self.boxes: dict[str, Box] = {}
        self._place(graph, columns, slot, widths)
        self.width = max(box.right for box in self.boxes.values())
        self.height = self.bands[-1][1] + _ROW_GAP / 2
        self.arrows = [self._route(edge) for edge in graph.edges]

    @property
    def num_rows(self) -> int:
        """Number of resolutions."""
        return len(self.sizes)

    def _rows_of(self, graph: NetworkGraph) -> Iterator[tuple[Node, tuple[int, ...]]]:
        """Find the resolutions, and those each node spans; one without maps stands where what it reads comes from."""
        maps = {node.name: self._maps(node) for node in graph.nodes}
        sizes = {size for of_node in maps.values() for size in of_node}
        #: the resolutions, finest first
        self.sizes = sorted(sizes, key=lambda size: (-math.prod(size), size))
        found: dict[str, tuple[int, ...]] = {}
        for node in graph.nodes:
            sources = [found[edge.source][0] for edge in graph.edges if edge.target == node.name]
            rows = tuple(sorted(self.sizes.index(size) for size in maps[node.name]))
            found[node.name] = rows or (min(sources, default=0),)
            yield node, found[node.name]

    def _maps(self, node: Node) -> set[Shape]:
        several = len(node.outputs) > 1 or len(node.inputs) > 1
        shapes = node.inputs + node.outputs if several else node.outputs
        return {shape[1:] for shape in shapes if len(shape) == self._rank + 1}

    def _columns(self, graph: NetworkGraph) -> dict[str, int]:
        """Column of each node: the last one in front of the first that reads it."""
        columns = {node.name: 0 for node in graph.nodes}
        for node in graph.nodes:
            before = [columns[edge.source] + 1 for edge in graph.edges if edge.target == node.name]
            columns[node.name] = max([0, *before])
        for node in reversed(graph.nodes):
            behind = [columns[edge.target] - 1 for edge in graph.edges if edge.source == node.name]
            if behind and node.name != INPUT:
                columns[node.name] = min(behind)
        # a tall box has its column for itself
        keys = {node.name: (columns[node.name], 0) for node in graph.nodes}
        for number, node in enumerate(graph.nodes):
            if len(self._rows[node.name]) > 1:
                keys[node.name] = (columns[node.name], 1 + number)
        order = {key: i for i, key in enumerate(sorted(set(keys.values())))}
        return {name: order[key] for name, key in keys.items()}

    def _place(
        self, graph: NetworkGraph, columns: dict[str, int], slot: dict[str, int], widths: Mapping[str, float]
    ) -> None:
        """Place column by column, as far left as those before allow; others in the row of a box are passed by."""
        for column in range(max(columns.values()) + 1):
            nodes = [node for node in graph.nodes if columns[node.name] == column]
            rows = {node.name: self._rows[node.name] for node in nodes}
            half = max(TALL_WIDTH if len(rows[name]) > 1 else widths[name] for name in rows) / 2
            beside = [box for box in self.boxes.values() if any(self._share(box, of_node) for of_node in rows.values())]
            previous = [box for box in self.boxes.values() if columns[box.node.name] == column - 1]
            # arrows to other rows turn beyond the column before
            turns = [box.right + 2 * _LANE for box in previous]
            center = max([half, *turns, *(box.right + _GAP + half for box in beside)])
            for node in nodes:
                first, last = self.bands[rows[node.name][0]][0], self.bands[rows[node.name][-1]][0]
                shift = slot.get(node.name, 0) * (BOX_HEIGHT + _SLOT_GAP)
                box = Box(node, rows[node.name], center - half, first + shift, center + half, last + shift + BOX_HEIGHT)
                self.boxes[node.name] = box

    @staticmethod
    def _share(box: Box, rows: Sequence[int]) -> bool:
        return box.rows[0] <= rows[-1] and rows[0] <= box.rows[-1]

    def _height(self, box: Box, shape: Shape) -> float:
        """Where an arrow of a tensor meets a side of a box."""
        if not box.tall:
            return (box.top + box.bottom) / 2
        row = self.sizes.index(shape[1:]) if shape[1:] in self.sizes else box.rows[0]
        row = min(box.rows, key=lambda other: abs(other - row))
        return self.bands[row][0] + BOX_HEIGHT / 2

    def _route(self, edge: Edge) -> list[Point]:
        """Corners of an arrow: the first of some ways that meets no other box."""
        source, target = self.boxes[edge.source], self.boxes[edge.target]
        ways = list(self._ways(source, target, edge.shape))
        others = [box for box in self.boxes.values() if box not in (source, target)]
        for way in ways:
            if not any(box.covers(a, b) for a, b in pairwise(way) for box in others):
                return way
        return ways[-1]

    def _ways(self, source: Box, target: Box, shape: Shape) -> Iterator[list[Point]]:
        start, end = (source.right, self._height(source, shape)), (target.left, self._height(target, shape))
        (x0, y0), (x1, y1) = start, end
        if math.isclose(y0, y1):
            yield [start, end]
        middle = (target.left + target.right) / 2
        if not target.tall and middle > x0 and not target.top <= y0 <= target.bottom:
            yield [start, (middle, y0), (middle, target.top if y0 < target.top else target.bottom)]
        if x1 - x0 > 2 * _LANE:
            for lane in (x1 - _LANE, x0 + _LANE):
                yield [start, (lane, y0), (lane, y1), end]
        between = [band[1] + _ROW_GAP / 2 for band in self.bands]
        for y in sorted([*between, self.bands[0][0] - _ROW_GAP / 4], key=lambda y: abs(y - y0) + abs(y - y1)):
            yield [start, (x0 + _LANE, y0), (x0 + _LANE, y), (x1 - _LANE, y), (x1 - _LANE, y1), end]
