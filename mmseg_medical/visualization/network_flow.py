"""What flows between the parts of a network, noted while it runs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_iter

from mmseg_medical.visualization.network_parts import block_names, dilations, is_deformable

#: of one case, (C, *S)
Shape = tuple[int, ...]
INPUT, OUTPUT = 'image', 'logits'


@dataclass(frozen=True)
class Node:
    """A part of a network.

    Attributes:
        name (str): Dotted name of the module; ``'image'`` and ``'logits'`` for the two ends.
        blocks (tuple[str, ...]): Class names of the blocks in a row, or of the module itself.
        dilations (tuple[int, ...]): Largest dilation in each block.
        deformable (bool): Whether a deformable convolution is inside.
        parameters (int): Number of parameters.
        inputs (tuple[Shape, ...]): Different shapes (C, *S) of the tensors it takes.
        outputs (tuple[Shape, ...]): Different shapes of those it gives, in the order of its first call.
        composite (bool): Whether it calls modules of its own.
    """

    name: str
    blocks: tuple[str, ...] = ()
    dilations: tuple[int, ...] = ()
    deformable: bool = False
    parameters: int = 0
    inputs: tuple[Shape, ...] = ()
    outputs: tuple[Shape, ...] = ()
    composite: bool = False


@dataclass(frozen=True)
class Edge:
    """A tensor of ``source``, of shape (C, *S), which ``target`` takes, perhaps resized, joined or added to others."""

    source: str
    target: str
    shape: Shape


class Flow(TorchDispatchMode):
    """Notes on every tensor from which parts it comes; what happens to it between parts passes the note on."""

    def __init__(self, parts: dict[str, nn.Module], composite: set[str]) -> None:
        super().__init__()
        self.parts, self.composite = parts, composite
        self.inputs: dict[str, list[Shape]] = {}
        self.outputs: dict[str, list[Shape]] = {}
        self.edges: dict[Edge, None] = {}  # a set that keeps the order
        self._inside: str | None = None
        self._handles: list[Any] = []

    def __enter__(self) -> Flow:
        for name, part in self.parts.items():
            self._handles.append(part.register_forward_pre_hook(self._before(name)))
            self._handles.append(part.register_forward_hook(self._after(name)))
        super().__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        super().__exit__(*error)
        for handle in self._handles:
            handle.remove()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run an operator; its results come from where its arguments come from, in a part from this part."""
        result = func(*args, **(kwargs or {}))
        if self._inside:
            self.take(self._inside, (args, kwargs))
            self.mark(result, self._inside)
        else:
            sources = _sources((args, kwargs))
            for tensor in _tensors(result):
                tensor._sources = sources
        return result

    def mark(self, values: Any, name: str) -> None:
        """Note that tensors come from a part."""
        for tensor in _tensors(values):
            tensor._sources = {(name, shape_of(tensor)): None}

    def take(self, name: str, values: Any) -> None:
        """Note that a part reads tensors; those it only passes on are not among them."""
        shapes = self.inputs.setdefault(name, [])
        for tensor in _tensors(values):
            foreign = [source for source in _sources(tensor) if source[0] != name]
            self.edges |= {Edge(source, name, shape): None for source, shape in foreign}
            if foreign and shape_of(tensor) not in shapes:
                shapes.append(shape_of(tensor))

    def _before(self, name: str) -> Any:
        def hook(module: nn.Module, args: Any) -> None:
            self._inside = name

        return hook

    def _after(self, name: str) -> Any:
        def hook(module: nn.Module, args: Any, result: Any) -> None:
            self._inside = None
            shapes = self.outputs.setdefault(name, [])
            for tensor in _tensors(result):
                if name in (source for source, _ in _sources(tensor)):
                    self.mark(tensor, name)
                    if shape_of(tensor) not in shapes:
                        shapes.append(shape_of(tensor))

        return hook

    def result(self, image: Shape) -> tuple[list[Node], list[Edge]]:
        """Nodes and edges, each node behind those it reads from; edges that close a circle are left out."""
        nodes = {INPUT: Node(INPUT, outputs=(image,))}
        for name, shapes in self.inputs.items():
            if name == OUTPUT:
                continue
            part = self.parts[name]
            count = sum(p.numel() for p in part.parameters())
            what = block_names(part), dilations(part), is_deformable(part), count
            nodes[name] = Node(name, *what, tuple(shapes), tuple(self.outputs[name]), name in self.composite)
        ends = tuple(self.inputs[OUTPUT])
        nodes[OUTPUT] = Node(OUTPUT, inputs=ends, outputs=ends)
        edges: list[Edge] = []
        before: dict[str, set[str]] = {name: set() for name in nodes}  # all that a node reads from, however far
        for edge in self.edges:
            if edge.target not in before[edge.source]:
                edges.append(edge)
                for name, known in before.items():
                    if name == edge.target or edge.target in known:
                        known |= before[edge.source] | {edge.source}
        order: list[str] = []
        while len(order) < len(nodes):
            order.append(next(name for name in nodes if name not in order and before[name] <= set(order)))
        return [nodes[name] for name in order], edges


def _tensors(values: Any) -> Iterator[Any]:
    return (value for value in tree_iter(values) if isinstance(value, Tensor))


def shape_of(tensor: Tensor) -> Shape:
    """Shape without the axis of the batch."""
    return tuple(tensor.shape[1:])


def _sources(values: Any) -> dict[tuple[str, Shape], None]:
    found: dict[tuple[str, Shape], None] = {}
    for tensor in _tensors(values):
        found |= getattr(tensor, '_sources', {})
    return found
