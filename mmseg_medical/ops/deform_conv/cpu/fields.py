"""Offsets and masks of one tile, wherever they come from."""

from __future__ import annotations

from typing import Any, NamedTuple

from mmseg_medical.ops.compile import inlined
from mmseg_medical.ops.deform_conv.cpu.product import ROWS, multiply
from mmseg_medical.ops.simd import lanes, load, pointer, shift, sigmoid, splat, store

# Kinds of a source.
PLANES, CHANNELS_LAST, BRANCH = 0, 1, 2


class Source(NamedTuple):
    """Where a forward kernel takes offsets and masks from; arrays of other kinds are empty.

    ``PLANES``: maps with contiguous images. ``CHANNELS_LAST``: maps whose channels are adjacent, ``offset_step`` and
    ``mask_step`` elements from position to position. ``BRANCH``: a plain convolution of the input with the geometry of
    the deformable one, weight (3 G K, C, K) with ROWS rows to spare; two thirds of its output are offsets, the sigmoid
    of the last third is the mask.
    """

    kind: int
    offset: Any
    mask: Any
    offset_step: int
    mask_step: int
    planes: Any  # the input, (N, C, H, W)
    weight: Any
    bias: Any
    size: int  # elements of memory that fields_of needs


class Fields(NamedTuple):
    """Pointers to the first position of a tile in the first plane, and the elements from plane to plane."""

    offset: Any
    mask: Any
    plane: int


def fields_size(kind: int, channels: int, deform_groups: int, taps: int, tile: int) -> int:
    """Elements of memory that :func:`fields_of` needs."""
    rows = 0 if kind == PLANES else 3 * deform_groups * taps
    return (rows + (ROWS + channels * taps if kind == BRANCH else 0)) * tile


@inlined
def planes_of(offset: Any, mask: Any, tile: Any, sizes: Any) -> Any:
    """The fields of a tile of maps with contiguous images."""
    return Fields(
        shift(offset, tile.image * sizes.offset_image + tile.first),
        shift(mask, tile.image * sizes.mask_image + tile.first),
        sizes.length,
    )


@inlined
def fields_of(source: Any, tile: Any, sizes: Any, memory: Any) -> Any:
    """The fields of a tile, in ``memory`` if its source is no planes."""
    points = sizes.deform_groups * sizes.taps
    offset, mask = pointer(source.offset), pointer(source.mask)
    if source.kind == PLANES:
        return planes_of(offset, mask, tile, sizes)
    fields = Fields(memory, shift(memory, 2 * points * sizes.tile), sizes.tile)
    if source.kind == CHANNELS_LAST:
        offset_at = tile.image * sizes.offset_image + tile.first * source.offset_step
        mask_at = tile.image * sizes.mask_image + tile.first * source.mask_step
        _transpose(shift(offset, offset_at), source.offset_step, tile.positions, 2 * points, fields.offset, sizes)
        _transpose(shift(mask, mask_at), source.mask_step, tile.positions, points, fields.mask, sizes)
    else:
        columns = shift(memory, (3 * points + ROWS) * sizes.tile)
        _columns(pointer(source.planes), tile, sizes, columns)
        _branch(source, sizes, columns, memory)
    return fields


@inlined
def _transpose(rows: Any, step: Any, count: Any, channels: Any, planes: Any, sizes: Any) -> None:
    # A block of positions at a time: their rows stay in the first-level cache while planes are written.
    for first in range(0, count, 16):
        some = min(16, count - first)
        for c in range(channels):
            for p in range(first, first + some):
                planes[c * sizes.tile + p] = rows[p * step + c]


@inlined
def _columns(planes: Any, tile: Any, sizes: Any, columns: Any) -> None:
    """What the undisplaced taps see, (C, K, tile); zeros outside the map."""
    row = 0
    for c in range(sizes.channels):
        plane = shift(planes, (tile.image * sizes.channels + c) * sizes.height * sizes.width)
        for tap_y in range(sizes.kernel_height):
            for tap_x in range(sizes.kernel_width):
                column = shift(columns, row * sizes.tile)
                row += 1
                y, x = tile.first // sizes.out_width, tile.first % sizes.out_width
                at = 0
                while at < tile.positions:
                    run = min(sizes.out_width - x, tile.positions - at)
                    input_y = y * sizes.stride_y - sizes.padding_y + tap_y * sizes.dilation_y
                    input_x = x * sizes.stride_x - sizes.padding_x + tap_x * sizes.dilation_x
                    _copy_run(plane, input_y, input_x, run, shift(column, at), sizes)
                    at, y, x = at + run, y + 1, 0
                for i in range(tile.positions, sizes.tile):
                    column[i] = 0


@inlined
def _copy_run(plane: Any, y: Any, x: Any, run: Any, out: Any, sizes: Any) -> None:
    """One row's part of a column: ``run`` pixels, a stride apart."""
    if y < 0 or y >= sizes.height:
        for i in range(run):
            out[i] = 0
        return
    step = sizes.stride_x
    begin = min(run, max(0, (step - 1 - x) // step))
    end = max(begin, min(run, (sizes.width - x + step - 1) // step))
    for i in range(begin):
        out[i] = 0
    row = shift(plane, y * sizes.width + x)
    for i in range(begin, end):
        out[i] = row[i * step]
    for i in range(end, run):
        out[i] = 0


@inlined
def _branch(source: Any, sizes: Any, columns: Any, out: Any) -> None:
    points, size, depth = sizes.deform_groups * sizes.taps, sizes.tile, sizes.channels * sizes.taps
    weight, bias = pointer(source.weight), pointer(source.bias)
    for row in range(3 * points):
        for i in range(0, size, lanes(out)):
            store(out, row * size + i, splat(bias[row], out))
    multiply(
        weight, depth, 1, columns, lanes(out), size, depth, out, size, 3 * points, size // lanes(out), True
    )  # fmt: skip
    for i in range(2 * points * size, 3 * points * size, lanes(out)):
        store(out, i, sigmoid(load(out, i)))
