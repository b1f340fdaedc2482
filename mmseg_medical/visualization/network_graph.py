"""Which parts a network has and what flows between them, found by running it."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from mmengine.model import revert_sync_batchnorm
from torch import Tensor, nn

from mmseg_medical.errors import ConfigError
from mmseg_medical.visualization.network_flow import INPUT, OUTPUT, Edge, Flow, Node, shape_of
from mmseg_medical.visualization.network_parts import CallTree


@dataclass(frozen=True)
class NetworkGraph:
    """Parts of a network in the order of execution, both ends among them.

    Attributes:
        title (str): Classes of what the network consists of, or its own.
        size (tuple[int, ...]): Of the image, in pixels or voxels.
        parameters (int): Of the whole network, parts that no node shows included.
        nodes (tuple[Node, ...]): Each behind those it reads from, else in the order of their first call.
        edges (tuple[Edge, ...]): Without repetitions; from earlier to later nodes, so that of a part that feeds
            itself by way of others one edge is missing.
    """

    title: str
    size: tuple[int, ...]
    parameters: int
    nodes: tuple[Node, ...]
    edges: tuple[Edge, ...]

    def node(self, name: str) -> Node:
        """Node of a name."""
        return next(node for node in self.nodes if node.name == name)


def trace(
    network: nn.Module, size: Sequence[int], channels: int = 3, *, depth: int = 3, training: bool = False
) -> NetworkGraph:
    """Run a network without computing anything, on the meta device, and note what its parts hand on.

    A module is unfolded into the modules that it calls if these work at several resolutions; one of a single
    resolution, such as a row of blocks, is one node. Modules without parameters are none. A layer that only enlarges
    for one other belongs to that one, and so do layers in a row that are no blocks (a convolution and its norm).

    Args:
        network (nn.Module): Segmentor or any module that takes an image; it is not changed.
        size (Sequence[int]): Of the image, in pixels or voxels.
        channels (int): Of the image.
        depth (int): How many levels of modules are unfolded at most: with 1 those that the network calls (backbone,
            head) are nodes, and so on.
        training (bool): Run as in training, where some networks use more of their parts.

    Returns:
        NetworkGraph: The same for the same network.

    Raises:
        ConfigError: The depth is not positive, or the network takes no image of this size.
    """
    if depth < 1:
        raise ConfigError(f'depth must be positive, got {depth}')
    network = revert_sync_batchnorm(copy.deepcopy(network)).to('meta').train(training)
    image = torch.empty(2, channels, *size, device='meta')  # norms over a batch want two

    calls = CallTree(network, len(size))
    with calls:
        _run(network, image)
    parts = calls.parts(depth)
    flow = Flow(parts, calls.composite)
    with flow:
        flow.mark(image, INPUT)
        flow.take(OUTPUT, _run(network, image))
    nodes, edges = _joined(*flow.result(shape_of(image)), rank=len(size))
    title = ', '.join(_part_classes(network)) if hasattr(network, 'backbone') else type(network).__name__
    return NetworkGraph(title, tuple(size), sum(p.numel() for p in network.parameters()), tuple(nodes), tuple(edges))


def _part_classes(network: nn.Module) -> Iterator[str]:
    for child in network.children():
        if isinstance(child, nn.ModuleList):
            yield from _part_classes(child)
        elif next(child.parameters(), None) is not None:
            yield type(child).__name__


def _run(network: nn.Module, image: Tensor) -> Any:
    with torch.no_grad():
        try:
            return network(image)
        except Exception as error:
            raise ConfigError(
                f'{type(network).__name__} takes no image of {image.shape[1]} channels and size '
                f'{tuple(image.shape[2:])}: {type(error).__name__}: {error}'
            ) from error


def _joined(nodes: list[Node], edges: list[Edge], rank: int) -> tuple[list[Node], list[Edge]]:
    """Join nodes to the next one where the rules of :func:`trace` say so."""
    found = next(_pairs(nodes, edges, rank), None)
    while found:
        first, second = found
        both = replace(
            second,
            blocks=first.blocks + second.blocks,
            dilations=first.dilations + second.dilations,
            deformable=first.deformable or second.deformable,
            parameters=first.parameters + second.parameters,
            inputs=first.inputs,
            composite=first.composite or second.composite,
        )
        nodes = [both if node is second else node for node in nodes if node is not first]
        edges = [
            replace(edge, target=second.name) if edge.target == first.name else edge
            for edge in edges
            if edge.source != first.name
        ]
        edges = list(dict.fromkeys(edges))
        found = next(_pairs(nodes, edges, rank), None)
    return nodes, edges


def _pairs(nodes: list[Node], edges: list[Edge], rank: int) -> Iterator[tuple[Node, Node]]:
    by_name = {node.name: node for node in nodes}
    for first in nodes:
        behind = {edge.target for edge in edges if edge.source == first.name}
        single = len(first.outputs) == len(first.inputs) == len(behind) == 1
        if not single or OUTPUT in behind or first.name == INPUT:
            continue
        second = by_name[behind.pop()]
        before, after = first.inputs[0][1:], first.outputs[0][1:]
        enlarges = len(before) == len(after) == rank and after > before and len(first.blocks) == 1
        in_front = {edge.source for edge in edges if edge.target == second.name}
        row = not first.composite and not second.composite and in_front == {first.name}
        # a part that reads several maps shows where they come from
        if len(second.inputs) == 1 and (enlarges or (row and second.outputs[0][1:] == after)):
            yield first, second
