"""Distance from every site of a surface to the nearest site of another one, for many pairs of surfaces at once."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from mmseg_medical.ops import threads

if TYPE_CHECKING:
    from mmseg_medical.evaluation.functional.surface.kernels.tree import Tree

# Sites that one task asks about: enough to pay for handing it to a thread, few enough to keep all threads busy.
_SITES_A_TASK = 4096
# Below this many sites in all, waking a second thread costs more than it brings.
_SITES_OF_ONE_THREAD = 4096
# Edge of a leaf in voxels of mean spacing; a surface leaves about the square of it in each.
_EDGE_3D, _EDGE_2D = 8, 16

Pair = tuple[np.ndarray, np.ndarray]


def nearest_distances(
    pairs: Sequence[Pair], spacing_mm: tuple[float, ...], num_threads: int
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Measure surfaces in both directions.

    Args:
        pairs (Sequence[Pair]): pairs of sites, each of shape (3, P), int32, P > 0; P may differ in a pair.
        spacing_mm (tuple[float, ...]): of the last axes; the others are constant.
        num_threads (int): threads to use.

    Returns:
        list[tuple[np.ndarray, np.ndarray]]: for each pair the distances in mm from the first to the second and from
        the second to the first, float64, in the order of the sites.
    """
    from mmseg_medical.evaluation.functional.surface.kernels.tree import nearest

    if sum(sites.shape[1] for pair in pairs for sites in pair) <= _SITES_OF_ONE_THREAD:
        num_threads = 1
    spacing = (1.0,) * (3 - len(spacing_mm)) + spacing_mm
    scale, edges = np.square(spacing), _leaf_edges(spacing, len(spacing_mm))
    sides = [sites for pair in pairs for sites in pair]
    # the longest first, so that none is left over at the end
    by_size = sorted(range(len(sides)), key=lambda n: -sides[n].shape[1])
    planted = threads.run_all([partial(_plant, sides[n], edges) for n in by_size], num_threads)
    trees = dict(zip(by_size, planted, strict=True))
    distances = [np.empty(sites.shape[1]) for sites in sides]
    questions = [
        partial(nearest, trees[n], trees[n ^ 1], scale, begin, stop, distances[n])
        for n in by_size
        for begin, stop in _parts(trees[n], num_threads)
    ]
    threads.run_all(questions, num_threads)
    return list(zip(distances[::2], distances[1::2], strict=True))


def _leaf_edges(spacing: tuple[float, ...], rank: int) -> np.ndarray:
    """Edges of leaves in voxels, about equal in mm."""
    mean = math.prod(spacing[3 - rank :]) ** (1 / rank)
    edge = mean * (_EDGE_3D if rank == 3 else _EDGE_2D)
    return np.array([max(1, round(edge / s)) for s in spacing], np.int64)


def _plant(sites: np.ndarray, edges: np.ndarray) -> Tree:
    from mmseg_medical.evaluation.functional.surface.kernels.tree import PADDING, Tree, bound, sort_sites

    points, order = np.full((3, sites.shape[1] + PADDING), np.inf), np.empty(sites.shape[1], np.int64)
    leaves, branches = sort_sites(sites, edges, points, order)
    leaf_boxes, branch_boxes = np.empty((6, len(leaves) - 1)), np.empty((6, len(branches) - 1))
    bound(points, points, leaves, leaf_boxes)
    bound(leaf_boxes[:3], leaf_boxes[3:], branches, branch_boxes)
    return Tree(points, order, leaves, leaf_boxes, branches, branch_boxes)


def _parts(tree: Tree, num_threads: int) -> list[tuple[int, int]]:
    """Ranges of leaves, of about equally many sites."""
    num_leaves, num_sites = len(tree.leaves) - 1, int(tree.leaves[-1])
    if num_threads == 1:
        return [(0, num_leaves)]
    cuts = np.searchsorted(tree.leaves, np.arange(_SITES_A_TASK, num_sites, _SITES_A_TASK))
    ends = [0, *(int(c) for c in cuts), num_leaves]
    return [(a, b) for a, b in itertools.pairwise(ends) if a < b]
