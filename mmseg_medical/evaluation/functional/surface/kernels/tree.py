"""Sites sorted into boxes and boxes of boxes, and the nearest site of every other one.

Distances are asked for in groups: all sites of one leaf look for theirs together, so that what can be ruled out is
ruled out once. The cost follows the number of sites, not the size of the grid, and hardly how far surfaces are apart.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from mmseg_medical.ops.compile import inlined, kernel
from mmseg_medical.ops.simd import lanes, lanes_of, load, pointer, select, smallest, splat

#: numbers that a vector may reach behind the last site
PADDING = lanes_of(8)
#: leaves along each axis of a branch; its cube is what a branch holds at most
BRANCH = 8


class Tree(NamedTuple):
    """Sites in two levels of boxes.

    Attributes:
        sites: shape (3, P + PADDING), float64, indices (whole numbers), leaf after leaf; infinite behind them.
        order: shape (P,), int64, place of each in the list the tree was made from.
        leaves: shape (L + 1,), int64, first site of each leaf.
        leaf_boxes: shape (6, L), float64, smallest and largest index along each axis.
        branches: shape (B + 1,), int64, first leaf of each branch.
        branch_boxes: shape (6, B), float64.
    """

    sites: Any
    order: Any
    leaves: Any
    leaf_boxes: Any
    branches: Any
    branch_boxes: Any


@kernel
def sort_sites(sites: Any, edges: Any, sorted_sites: Any, order: Any) -> Any:
    """Sort sites by leaf and branch.

    Args:
        sites: shape (3, P), int32, P > 0.
        edges: shape (3,), int64, edge of a leaf along each axis, in voxels.
        sorted_sites: shape (3, P or more), float64, receives the sites.
        order: shape (P,), int64, receives their places in ``sites``.

    Returns:
        tuple: first site of each leaf and the number of sites, shape (L + 1,); first leaf of each branch and the
        number of leaves, shape (B + 1,); both int64.
    """
    number = sites.shape[1]
    low, cells = np.empty(3, np.int64), np.empty(3, np.int64)
    for axis in range(3):
        smallest = largest = np.int64(sites[axis, 0])
        for p in range(number):
            smallest = min(smallest, np.int64(sites[axis, p]))
            largest = max(largest, np.int64(sites[axis, p]))
        low[axis] = smallest
        cells[axis] = (largest - smallest) // (edges[axis] * BRANCH) + 1
    # one bucket a leaf, those of a branch in a row
    bucket_of = np.empty(number, np.int64)
    buckets = np.zeros(cells[0] * cells[1] * cells[2] * BRANCH**3 + 1, np.int64)
    for p in range(number):
        a = (sites[0, p] - low[0]) // edges[0]
        b = (sites[1, p] - low[1]) // edges[1]
        c = (sites[2, p] - low[2]) // edges[2]
        branch = ((a // BRANCH) * cells[1] + b // BRANCH) * cells[2] + c // BRANCH
        bucket = ((branch * BRANCH + a % BRANCH) * BRANCH + b % BRANCH) * BRANCH + c % BRANCH
        bucket_of[p] = bucket
        buckets[bucket + 1] += 1
    leaves, branches = np.empty(number + 1, np.int64), np.empty(number + 1, np.int64)
    num_leaves = num_branches = 0
    last_branch = -1
    for bucket in range(buckets.shape[0] - 1):
        if buckets[bucket + 1] > 0:
            if bucket // BRANCH**3 != last_branch:
                last_branch = bucket // BRANCH**3
                branches[num_branches] = num_leaves
                num_branches += 1
            leaves[num_leaves] = buckets[bucket]
            num_leaves += 1
        buckets[bucket + 1] += buckets[bucket]
    leaves[num_leaves] = number
    branches[num_branches] = num_leaves
    for p in range(number):
        place = buckets[bucket_of[p]]
        buckets[bucket_of[p]] = place + 1
        order[place] = p
        for axis in range(3):
            sorted_sites[axis, place] = sites[axis, p]
    return leaves[: num_leaves + 1].copy(), branches[: num_branches + 1].copy()


@kernel
def bound(low: Any, high: Any, starts: Any, boxes: Any) -> None:
    """Enclose runs of points or boxes.

    Args:
        low: shape (3, P), float64, smallest indices of each member.
        high: shape (3, P), float64, largest ones.
        starts: shape (M + 1,), int64, first member of each run.
        boxes: shape (6, M), float64, receives the smallest and the largest indices of each run.
    """
    for m in range(starts.shape[0] - 1):
        for axis in range(3):
            smallest, largest = low[axis, starts[m]], high[axis, starts[m]]
            for p in range(starts[m] + 1, starts[m + 1]):
                smallest = min(smallest, low[axis, p])
                largest = max(largest, high[axis, p])
            boxes[axis, m] = smallest
            boxes[3 + axis, m] = largest


@inlined
def _nearest_of_boxes(boxes: Any, m: int, query: Any, scale: Any) -> float:
    """Square of the distance between two boxes: no two of their points are nearer."""
    total = 0.0
    for axis in range(3):
        gap = max(max(boxes[axis, m] - query[3 + axis], query[axis] - boxes[3 + axis, m]), 0.0)
        total += scale[axis] * gap * gap
    return total


@inlined
def _farthest_of_boxes(boxes: Any, m: int, query: Any, scale: Any) -> float:
    """Square of the largest distance between points of two boxes."""
    total = 0.0
    for axis in range(3):
        reach = max(boxes[3 + axis, m] - query[axis], query[3 + axis] - boxes[axis, m])
        total += scale[axis] * reach * reach
    return total


@inlined
def _from_point_to_box(boxes: Any, m: int, point: Any, scale: Any) -> float:
    dx = max(max(boxes[0, m] - point[0], point[0] - boxes[3, m]), 0.0)
    dy = max(max(boxes[1, m] - point[1], point[1] - boxes[4, m]), 0.0)
    dz = max(max(boxes[2, m] - point[2], point[2] - boxes[5, m]), 0.0)
    return scale[0] * dx * dx + scale[1] * dy * dy + scale[2] * dz * dz


@inlined
def _nearest_in_leaf(tree: Any, m: int, point: Any, scale: Any, best: float) -> float:
    """The smaller of ``best`` and the square of the distance to the nearest site of a leaf, or to one behind it.

    The last vector may reach into the next leaf: its sites are as good. Behind the last leaf they are infinite.
    """
    xs, ys, zs = pointer(tree.sites[0]), pointer(tree.sites[1]), pointer(tree.sites[2])
    x, y, z = splat(point[0], xs), splat(point[1], xs), splat(point[2], xs)
    sx, sy, sz = splat(scale[0], xs), splat(scale[1], xs), splat(scale[2], xs)
    lowest = splat(best, xs)
    for p in range(tree.leaves[m], tree.leaves[m + 1], lanes(xs)):
        dx, dy, dz = load(xs, p) - x, load(ys, p) - y, load(zs, p) - z
        squared = sx * dx * dx + sy * dy * dy + sz * dz * dz
        lowest = select(squared < lowest, squared, lowest)
    return smallest(lowest)


@inlined
def _candidates(tree: Any, query: Any, scale: Any, branch_gaps: Any, chosen: Any, gaps: Any) -> int:
    """Leaves that may hold the nearest site of a point of the box ``query``, the nearest of them first.

    Fills ``chosen`` and ``gaps`` (the squares of their distances) and returns their number.
    """
    reach = np.inf
    for b in range(tree.branch_boxes.shape[1]):
        branch_gaps[b] = _nearest_of_boxes(tree.branch_boxes, b, query, scale)
        reach = min(reach, _farthest_of_boxes(tree.branch_boxes, b, query, scale))
    n = 0
    for b in range(tree.branch_boxes.shape[1]):
        if branch_gaps[b] <= reach:
            for m in range(tree.branches[b], tree.branches[b + 1]):
                gap = _nearest_of_boxes(tree.leaf_boxes, m, query, scale)
                if gap <= reach:
                    reach = min(reach, _farthest_of_boxes(tree.leaf_boxes, m, query, scale))
                    chosen[n] = m
                    gaps[n] = gap
                    n += 1
    kept = 0
    for c in range(n):
        if gaps[c] <= reach:
            m, gap = chosen[c], gaps[c]
            # Sorted by insertion: there are few, and each that comes early spares others.
            place = kept
            while place > 0 and gaps[place - 1] > gap:
                gaps[place] = gaps[place - 1]
                chosen[place] = chosen[place - 1]
                place -= 1
            gaps[place] = gap
            chosen[place] = m
            kept += 1
    return kept


@kernel
def nearest(queries: Any, tree: Any, scale: Any, begin: int, stop: int, distances: Any) -> None:
    """Find the distance from sites to the nearest site of another set.

    Args:
        queries: :class:`Tree` of the sites to start from.
        tree: :class:`Tree` of the sites to find.
        scale: shape (3,), float64, square of the spacing along each axis, in mm^2.
        begin: first leaf of ``queries`` to work on.
        stop: leaf behind the last one.
        distances: shape (P,), float64, receives the distances in mm in the order of the list that ``queries`` was made
            from.
    """
    branch_gaps = np.empty(tree.branch_boxes.shape[1])
    chosen = np.empty(tree.leaf_boxes.shape[1], np.int64)
    gaps = np.empty(tree.leaf_boxes.shape[1])
    query = np.empty(6)
    for leaf in range(begin, stop):
        for axis in range(6):
            query[axis] = queries.leaf_boxes[axis, leaf]
        number = _candidates(tree, query, scale, branch_gaps, chosen, gaps)
        winner = 0
        for p in range(queries.leaves[leaf], queries.leaves[leaf + 1]):
            point = queries.sites[0, p], queries.sites[1, p], queries.sites[2, p]
            # The leaf that held the last point's nearest site is likely to hold a near one of the next point.
            best = _nearest_in_leaf(tree, chosen[winner], point, scale, np.inf)
            for c in range(number):
                if gaps[c] >= best:
                    break
                if c != winner and _from_point_to_box(tree.leaf_boxes, chosen[c], point, scale) < best:
                    found = _nearest_in_leaf(tree, chosen[c], point, scale, best)
                    if found < best:
                        best = found
                        winner = c
            distances[queries.order[p]] = np.sqrt(best)
