"""Surface elements of all classes of a label map: border voxels, and cells that a surface crosses.

Images of two axes come as one plane, shape (1, J, K), with ``planar``: nothing then lies above or below it.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from mmseg_medical.ops.compile import inlined, kernel


@kernel
def row_spans(labels: Any, first: Any, last: Any) -> int:
    """Find where each row along the last axis holds labels.

    Args:
        labels: shape (I, J, K), unsigned integers.
        first: shape (I, J), int32, receives the first index that is not 0.
        last: shape (I, J), int32, receives the index behind the last one; equals ``first`` in an empty row.

    Returns:
        int: the largest label.
    """
    highest = 0
    for i in range(labels.shape[0]):
        for j in range(labels.shape[1]):
            row = labels[i, j]
            # A maximum is vectorised, a search for the ends is not: most rows of most images need only the first.
            top: Any = row[0]
            for k in range(1, row.shape[0]):
                top = max(top, row[k])
            start = end = 0
            if top > 0:
                highest = max(highest, int(top))
                end = row.shape[0]
                while row[start] == 0:
                    start += 1
                while row[end - 1] == 0:
                    end -= 1
            first[i, j] = start
            last[i, j] = end
    return highest


@inlined
def _mark_border(labels: Any, planar: bool, i: int, j: int, start: int, end: int, nothing: Any, marks: Any) -> None:
    """Set ``marks`` where a voxel of ``start..end`` has a label that one of its face neighbours lacks."""
    row = labels[i, j]
    above = row if planar else (labels[i - 1, j] if i > 0 else nothing)
    below = row if planar else (labels[i + 1, j] if i + 1 < labels.shape[0] else nothing)
    before = labels[i, j - 1] if j > 0 else nothing
    behind = labels[i, j + 1] if j + 1 < labels.shape[1] else nothing
    # Views, whose indices start at 0: only then is the loop over them vectorised.
    own, left, right = row[start + 1 : end - 1], row[start : end - 2], row[start + 2 : end]
    above, below = above[start + 1 : end - 1], below[start + 1 : end - 1]
    before, behind = before[start + 1 : end - 1], behind[start + 1 : end - 1]
    inner = marks[start + 1 : end - 1]
    for k in range(own.shape[0]):
        v = own[k]
        along = (left[k] ^ v) | (right[k] ^ v)
        across = (above[k] ^ v) | (below[k] ^ v) | (before[k] ^ v) | (behind[k] ^ v)
        inner[k] = (v != 0) & ((along | across) != 0)
    # The ends of a row's span have the background, or the border of the grid, beside them.
    marks[start] = 1
    marks[end - 1] = 1


@inlined
def _next_mark(words: Any, marks: Any, k: int, end: int) -> int:
    """First mark at ``k`` or behind it, ``end`` if there is none; eight at a time where none is set."""
    while k < end and marks[k] == 0:
        if k & 7 == 0 and words[k >> 3] == 0:
            k += 8
        else:
            k += 1
    return min(k, end)


@kernel
def list_border(labels: Any, planar: bool, first: Any, last: Any, cursor: Any, sites: Any) -> None:
    """List the border voxels, label after label, each in array order, or only count them.

    Args:
        labels: shape (I, J, K), unsigned integers.
        planar: the image has two axes only.
        first: shape (I, J), int32, as :func:`row_spans` fills it; likewise ``last``.
        last: see ``first``.
        cursor: shape (L,), int64, where each label's list begins; moved by the number of its voxels.
        sites: shape (3, P), int32, receives the indices; with P = 0 the voxels are only counted.
    """
    listed = sites.shape[1] > 0
    words = np.zeros(labels.shape[2] // 8 + 1, np.uint64)
    marks = words.view(np.uint8)
    nothing = np.zeros(labels.shape[2], labels.dtype)
    for i in range(labels.shape[0]):
        for j in range(labels.shape[1]):
            start, end = first[i, j], last[i, j]
            if start < end:
                words[start >> 3 : (end + 7) >> 3] = 0
                _mark_border(labels, planar, i, j, start, end, nothing, marks)
                k = _next_mark(words, marks, start, end)
                while k < end:
                    p = cursor[labels[i, j, k]]
                    cursor[labels[i, j, k]] = p + 1
                    if listed:
                        sites[0, p] = i
                        sites[1, p] = j
                        sites[2, p] = k
                    k = _next_mark(words, marks, k + 1, end)


@inlined
def _corner(labels: Any, i: int, j: int, k: int) -> Any:
    """A label, 0 outside the grid."""
    inside = 0 <= i < labels.shape[0] and 0 <= j < labels.shape[1] and 0 <= k < labels.shape[2]
    return labels[i, j, k] if inside else labels.dtype.type(0)


@inlined
def _codes_of_cell(labels: Any, planar: bool, i: int, j: int, k: int, corners: Any, codes: Any) -> int:
    """Fill ``corners[:n]`` with the n labels at the corners of a cell and ``codes[:n]`` with their corner sets.

    Bit 4 a + 2 b + c stands for the corner (i + a - 1, j + b - 1, k + c - 1).
    """
    n = 0
    for bit in range(8):
        a = 0 if planar else bit >> 2
        v = _corner(labels, i - 1 + a, j - 1 + ((bit >> 1) & 1), k - 1 + (bit & 1))
        if v != 0:
            m = 0
            while m < n and corners[m] != v:
                m += 1
            if m == n:
                corners[m] = v
                codes[m] = 0
                n += 1
            codes[m] |= 1 << bit
    return n


@inlined
def _cell_span(first: Any, last: Any, i: int, j: int) -> Any:
    """Cells of row (i, j) that have a label at a corner, and whether one of its four rows has any."""
    start, end = np.int32(2147483646), np.int32(-1)
    for a in range(max(i - 1, 0), min(i + 1, first.shape[0])):
        for b in range(max(j - 1, 0), min(j + 1, first.shape[1])):
            if first[a, b] < last[a, b]:
                start = min(start, first[a, b])
                end = max(end, last[a, b])
    return start, end + 1


@inlined
def _mark_cells(labels: Any, planar: bool, i: int, j: int, start: int, end: int, nothing: Any, marks: Any) -> None:
    """Set ``marks`` where the eight corners of a cell of ``start..end`` are not all alike."""
    below = i - 1 if planar else i
    a = labels[i - 1, j - 1] if i > 0 and j > 0 else nothing
    b = labels[i - 1, j] if i > 0 and j < labels.shape[1] else nothing
    c = labels[below, j - 1] if below < labels.shape[0] and j > 0 else nothing
    d = labels[below, j] if below < labels.shape[0] and j < labels.shape[1] else nothing
    near, far = start, start + 1
    a0, b0, c0, d0 = a[near : end - 2], b[near : end - 2], c[near : end - 2], d[near : end - 2]
    a1, b1, c1, d1 = a[far : end - 1], b[far : end - 1], c[far : end - 1], d[far : end - 1]
    inner = marks[start + 1 : end - 1]
    for k in range(a0.shape[0]):
        v = a0[k]
        first_layer = (b0[k] ^ v) | (c0[k] ^ v) | (d0[k] ^ v)
        second_layer = (a1[k] ^ v) | (b1[k] ^ v) | (c1[k] ^ v) | (d1[k] ^ v)
        inner[k] = (first_layer | second_layer) != 0
    # The first and the last cell lie at the ends of the labels, where one side is background.
    marks[start] = 1
    marks[end - 1] = 1


@kernel
def list_cells(labels: Any, planar: bool, first: Any, last: Any, cursor: Any, sites: Any, site_codes: Any) -> None:
    """List, for each label, the cells with the label at some corners and not at all, or only count them.

    Cell (i, j, k) has the voxels (i - 1, j - 1, k - 1) to (i, j, k) at its corners, for i = 0..I and so on; what lies
    outside the grid is background. The order is that of :func:`list_border`.

    Args:
        labels: see :func:`list_border`, likewise ``planar``, ``first``, ``last``, ``cursor`` and ``sites``.
        planar: see there.
        first: see there.
        last: see there.
        cursor: see there.
        sites: see there.
        site_codes: shape (P,), uint8, receives the set of corners that have the label, one bit a corner.
    """
    listed = sites.shape[1] > 0
    words = np.zeros(labels.shape[2] // 8 + 1, np.uint64)
    marks = words.view(np.uint8)
    nothing = np.zeros(labels.shape[2], labels.dtype)
    corners, codes = np.empty(8, labels.dtype), np.empty(8, np.int64)
    # The one plane stands on both sides of the one layer of cells: the bits of both say the same.
    for i in range(1 if planar else 0, labels.shape[0] + 1):
        for j in range(labels.shape[1] + 1):
            start, end = _cell_span(first, last, i, j)
            if start < end:
                words[start >> 3 : (end + 7) >> 3] = 0
                _mark_cells(labels, planar, i, j, start, end, nothing, marks)
                k = _next_mark(words, marks, start, end)
                while k < end:
                    for m in range(_codes_of_cell(labels, planar, i, j, k, corners, codes)):
                        if codes[m] != 255:
                            p = cursor[corners[m]]
                            cursor[corners[m]] = p + 1
                            if listed:
                                sites[0, p] = i
                                sites[1, p] = j
                                sites[2, p] = k
                                site_codes[p] = codes[m]
                    k = _next_mark(words, marks, k + 1, end)
