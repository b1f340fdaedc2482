"""Dense convolution, channels last: a tile of columns is sampled once, then multiplied in registers.

The backward pass works in rounds of a few tiles: first their columns and the gradients of those (a task is a tile),
then the gradients of weight and input from both (a task owns a part of the result), so that no sum depends on the
threads.
"""

from __future__ import annotations

from typing import Any

from mmseg_medical.ops.compile import inlined, kernel
from mmseg_medical.ops.deform_conv.cpu.fields import fields_of, planes_of
from mmseg_medical.ops.deform_conv.cpu.one_point import sample, sample_and_dot, spread
from mmseg_medical.ops.deform_conv.cpu.phases import finish, take, wait
from mmseg_medical.ops.deform_conv.cpu.points import carve_points, differentiate_tile, locate_tile, spot_of, tile_of
from mmseg_medical.ops.deform_conv.cpu.product import ROWS, multiply
from mmseg_medical.ops.deform_conv.cpu.tiles import read_tile, write_tile
from mmseg_medical.ops.simd import fetch_add, lanes, load, pointer, shift, store


@kernel
def forward(
    counter: Any, memory: Any, memory_each: Any, x: Any, source: Any, panels: Any, bias: Any, out: Any,
    out_strides: Any, sizes: Any,
) -> None:  # fmt: skip
    """Write tiles of ``out``; panels are (vectors of C_out, K, C, lanes), bias (vectors of C_out, lanes)."""
    counter, x = pointer(counter), pointer(x)
    panels, bias, out = pointer(panels), pointer(bias), pointer(out)
    mine = shift(pointer(memory), fetch_add(shift(counter, 1), 1) * memory_each)
    points, spare = carve_points(mine, sizes)
    columns = shift(spare, source.size)
    depth = sizes.taps * sizes.channels
    vectors = (sizes.out_channels + lanes(x) - 1) // lanes(x)
    row = vectors * lanes(x)
    result = shift(columns, (sizes.tile + ROWS) * depth)
    while True:
        task = fetch_add(counter, 1)
        if task >= sizes.batch * sizes.tiles:
            return
        tile = tile_of(task, sizes)
        fields = fields_of(source, tile, sizes, spare)
        locate_tile(tile, fields, sizes, points)
        image = shift(x, tile.image * sizes.height * sizes.width * sizes.channels)
        group_channels = sizes.channels // sizes.deform_groups
        for p in range(tile.positions):
            for group in range(sizes.deform_groups):
                begin = group * group_channels
                for tap in range(sizes.taps):
                    column = shift(columns, p * depth + tap * sizes.channels + begin)
                    spot = spot_of(group, tap, p, sizes)
                    sample(shift(image, begin), points, spot, column, group_channels, sizes)
        for p in range(tile.positions):
            for c in range(0, row, lanes(x)):
                store(result, p * row + c, load(bias, c))
        multiply(
            columns, depth, 1, panels, depth * lanes(x), lanes(x), depth, result, row, tile.positions, vectors,
            True,
        )  # fmt: skip
        write_tile(result, row, out, out_strides, tile, sizes.out_channels)


@kernel
def backward(
    counters: Any, slots: Any, x: Any, offset: Any, mask: Any, panels: Any, grad_output: Any, grad_strides: Any,
    kept_points: Any, points_each: Any, columns: Any, grad_columns: Any, grad_rows: Any, extents: Any,
    grad_offset: Any, grad_mask: Any, grad_x: Any, bands: Any, grad_weight: Any, block: Any, sizes: Any,
) -> None:  # fmt: skip
    """All gradients, ``slots`` tiles a round.

    panels are (vectors of K * C, C_out, lanes). Kept from the first phase of a round to the second: points, columns and
    grad_columns (slots, tile, K * C rounded up to vectors), grad_rows (slots, tile, C_out rounded up), extents
    (slots, 2): first and last pixel. In the second phase, a task owns one of ``bands`` bands of the pixels that an
    image's tiles sampled, or ``block`` rows of grad_weight (C_out, K * C rounded up), which the first tile overwrites,
    and adds in the order of the tiles. Without bands or blocks that gradient is left alone.
    """
    counters, x, offset, mask = pointer(counters), pointer(x), pointer(offset), pointer(mask)
    panels, grad_output, kept_points = pointer(panels), pointer(grad_output), pointer(kept_points)
    columns, grad_columns, grad_rows = pointer(columns), pointer(grad_columns), pointer(grad_rows)
    extents, grad_offset, grad_mask = pointer(extents), pointer(grad_offset), pointer(grad_mask)
    grad_x, grad_weight = pointer(grad_x), pointer(grad_weight)
    width = lanes(x)
    column_row = (sizes.taps * sizes.channels + width - 1) // width * width
    grad_row = (sizes.out_channels + width - 1) // width * width
    blocks = (sizes.out_channels + block - 1) // block if block else 0
    all_tiles = sizes.batch * sizes.tiles
    phase = 0
    for first in range(0, all_tiles, slots):
        tiles = min(slots, all_tiles - first)
        while True:
            slot = take(counters, phase)
            if slot >= tiles:
                break
            points, _ = carve_points(shift(kept_points, slot * points_each), sizes)
            _differentiate(
                tile_of(first + slot, sizes), x, offset, mask, panels, grad_output, grad_strides, points,
                shift(columns, slot * sizes.tile * column_row), shift(grad_columns, slot * sizes.tile * column_row),
                column_row, shift(grad_rows, slot * sizes.tile * grad_row), grad_row, shift(extents, 2 * slot),
                grad_offset, grad_mask, sizes,
            )  # fmt: skip
            finish(counters, phase)
        wait(counters, phase, tiles)
        phase += 1

        first_image, last_image = first // sizes.tiles, (first + tiles - 1) // sizes.tiles
        band_tasks = (last_image - first_image + 1) * bands
        while True:
            task = take(counters, phase)
            if task >= band_tasks + blocks:
                break
            if task < band_tasks:
                image = first_image + task // bands
                begin = max(first, image * sizes.tiles) - first
                end = min(first + tiles, (image + 1) * sizes.tiles) - first
                _scatter(
                    image, first, begin, end, task % bands, bands, kept_points, points_each, grad_columns, column_row,
                    extents, grad_x, sizes,
                )  # fmt: skip
            else:
                row = (task - band_tasks) * block
                for slot in range(tiles):
                    multiply(
                        shift(grad_rows, slot * sizes.tile * grad_row + row), 1, grad_row,
                        shift(columns, slot * sizes.tile * column_row), width, column_row,
                        tile_of(first + slot, sizes).positions, shift(grad_weight, row * column_row), column_row,
                        min(block, sizes.out_channels - row), column_row // width, first + slot > 0,
                    )  # fmt: skip
            finish(counters, phase)
        wait(counters, phase, band_tasks + blocks)
        phase += 1


@inlined
def _differentiate(
    tile: Any, x: Any, offset: Any, mask: Any, panels: Any, grad_output: Any, grad_strides: Any, points: Any,
    columns: Any, grad_columns: Any, column_row: Any, grad_rows: Any, grad_row: Any, extent: Any, grad_offset: Any,
    grad_mask: Any, sizes: Any,
) -> None:  # fmt: skip
    """Columns of a tile and their gradients; from them the gradients of its offsets and masks."""
    fields = planes_of(offset, mask, tile, sizes)
    locate_tile(tile, fields, sizes, points)
    read_tile(grad_output, grad_strides, tile, sizes.out_channels, grad_rows, grad_row)
    multiply(
        grad_rows, grad_row, 1, panels, sizes.out_channels * lanes(x), lanes(x), sizes.out_channels, grad_columns,
        column_row, tile.positions, column_row // lanes(x), False,
    )  # fmt: skip
    image = shift(x, tile.image * sizes.height * sizes.width * sizes.channels)
    group_channels = sizes.channels // sizes.deform_groups
    lowest, highest = sizes.height * sizes.width, -1
    for p in range(tile.positions):
        for group in range(sizes.deform_groups):
            begin = group * group_channels
            for tap in range(sizes.taps):
                spot, at = spot_of(group, tap, p, sizes), p * column_row + tap * sizes.channels + begin
                if points.numbers[spot] >= 0:
                    lowest = min(lowest, points.numbers[spot])
                    highest = max(highest, points.numbers[spot + 3 * sizes.tile])
                    sample_and_dot(
                        shift(image, begin), points, spot, shift(columns, at), shift(grad_columns, at),
                        group_channels, sizes,
                    )  # fmt: skip
                else:
                    sample(shift(image, begin), points, spot, shift(columns, at), group_channels, sizes)
    extent[0] = lowest
    extent[1] = highest
    differentiate_tile(tile, fields, sizes, points, grad_offset, grad_mask)


@inlined
def _scatter(
    image: Any, first_tile: Any, begin: Any, end: Any, band: Any, bands: Any, kept_points: Any, points_each: Any,
    grad_columns: Any, column_row: Any, extents: Any, grad_x: Any, sizes: Any,
) -> None:  # fmt: skip
    channels = sizes.channels
    group_channels = channels // sizes.deform_groups
    lowest, highest = sizes.height * sizes.width, -1
    for slot in range(begin, end):
        lowest, highest = min(lowest, extents[2 * slot]), max(highest, extents[2 * slot + 1])
    width = highest + 1 - lowest
    low, high = lowest + band * width // bands, lowest + (band + 1) * width // bands
    grad_image = shift(grad_x, image * sizes.height * sizes.width * channels)
    for slot in range(begin, end):
        if extents[2 * slot] >= high or extents[2 * slot + 1] < low:
            continue
        tile = tile_of(first_tile + slot, sizes)
        points, _ = carve_points(shift(kept_points, slot * points_each), sizes)
        rows = shift(grad_columns, slot * sizes.tile * column_row)
        for p in range(tile.positions):
            for group in range(sizes.deform_groups):
                channel = group * group_channels
                for tap in range(sizes.taps):
                    gradient = shift(rows, p * column_row + tap * channels + channel)
                    spot = spot_of(group, tap, p, sizes)
                    spread(points, spot, low, high, gradient, shift(grad_image, channel), group_channels, sizes)
