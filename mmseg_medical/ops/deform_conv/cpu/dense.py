"""Dense convolution, channels last: a tile of columns is sampled once, then multiplied in registers.

The backward pass works on a few tiles at a time: first their columns and the gradients of those (a task is a tile),
then the gradients of weight and input from both (a task owns a part of the result), so that no sum depends on the
threads.
"""

from __future__ import annotations

from typing import Any

from mmseg_medical.ops.deform_conv.cpu.compile import inlined, kernel
from mmseg_medical.ops.deform_conv.cpu.fields import fields_of, planes_of
from mmseg_medical.ops.deform_conv.cpu.one_point import sample, sample_and_dot, spread
from mmseg_medical.ops.deform_conv.cpu.points import carve_points, differentiate_tile, locate_tile, spot_of, tile_of
from mmseg_medical.ops.deform_conv.cpu.product import ROWS, multiply
from mmseg_medical.ops.deform_conv.cpu.simd import fetch_add, lanes, load, pointer, shift, store
from mmseg_medical.ops.deform_conv.cpu.tiles import read_tile, write_tile


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
def columns_backward(
    counter: Any, first_tile: Any, tiles: Any, x: Any, offset: Any, mask: Any, panels: Any, grad_output: Any,
    grad_strides: Any, kept_points: Any, points_each: Any, columns: Any, grad_columns: Any, grad_rows: Any,
    grad_offset: Any, grad_mask: Any, extents: Any, sizes: Any,
) -> None:  # fmt: skip
    """Columns and their gradients of some tiles; from them the gradients of offset and mask.

    panels are (vectors of K * C, C_out, lanes). Kept for the next step: points, columns and grad_columns (slots, tile,
    K * C rounded up to vectors), grad_rows (slots, tile, C_out rounded up), extents (slots, 2): first and last pixel.
    """
    counter, x, offset, mask = pointer(counter), pointer(x), pointer(offset), pointer(mask)
    panels, grad_output = pointer(panels), pointer(grad_output)
    kept_points, columns, grad_columns = pointer(kept_points), pointer(columns), pointer(grad_columns)
    grad_rows, extents = pointer(grad_rows), pointer(extents)
    grad_offset, grad_mask = pointer(grad_offset), pointer(grad_mask)
    depth = sizes.taps * sizes.channels
    depth_vectors = (depth + lanes(x) - 1) // lanes(x)
    column_row = depth_vectors * lanes(x)
    grad_row = (sizes.out_channels + lanes(x) - 1) // lanes(x) * lanes(x)
    group_channels = sizes.channels // sizes.deform_groups
    while True:
        slot = fetch_add(counter, 1)
        if slot >= tiles:
            return
        tile = tile_of(first_tile + slot, sizes)
        points, _ = carve_points(shift(kept_points, slot * points_each), sizes)
        column = shift(columns, slot * sizes.tile * column_row)
        grad_column = shift(grad_columns, slot * sizes.tile * column_row)
        rows = shift(grad_rows, slot * sizes.tile * grad_row)
        fields = planes_of(offset, mask, tile, sizes)
        locate_tile(tile, fields, sizes, points)
        read_tile(grad_output, grad_strides, tile, sizes.out_channels, rows, grad_row)
        multiply(
            rows, grad_row, 1, panels, sizes.out_channels * lanes(x), lanes(x), sizes.out_channels,
            grad_column, column_row, tile.positions, depth_vectors, False,
        )  # fmt: skip
        image = shift(x, tile.image * sizes.height * sizes.width * sizes.channels)
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
                            shift(image, begin), points, spot, shift(column, at), shift(grad_column, at),
                            group_channels, sizes,
                        )  # fmt: skip
                    else:
                        sample(shift(image, begin), points, spot, shift(column, at), group_channels, sizes)
        extents[2 * slot] = lowest
        extents[2 * slot + 1] = highest
        differentiate_tile(tile, fields, sizes, points, grad_offset, grad_mask)


@kernel
def parameters_backward(
    counter: Any, first_tile: Any, tiles: Any, kept_points: Any, points_each: Any, columns: Any, grad_columns: Any,
    grad_rows: Any, extents: Any, bands: Any, block: Any, grad_weight: Any, grad_x: Any, sizes: Any,
) -> None:  # fmt: skip
    """Add what some tiles give to the gradients of weight, (C_out, K * C rounded up to vectors), and input.

    A task owns ``block`` rows of the weight's gradient, which the first tile overwrites, or one of ``bands`` bands of
    the pixels that an image's tiles sampled, and adds in the order of the tiles. Without blocks or bands, that gradient
    is left alone.
    """
    counter, kept_points, columns = pointer(counter), pointer(kept_points), pointer(columns)
    grad_columns, grad_rows, extents = pointer(grad_columns), pointer(grad_rows), pointer(extents)
    grad_weight, grad_x = pointer(grad_weight), pointer(grad_x)
    depth = sizes.taps * sizes.channels
    column_row = (depth + lanes(columns) - 1) // lanes(columns) * lanes(columns)
    grad_row = (sizes.out_channels + lanes(columns) - 1) // lanes(columns) * lanes(columns)
    first_image, last_image = first_tile // sizes.tiles, (first_tile + tiles - 1) // sizes.tiles
    band_tasks = (last_image - first_image + 1) * bands
    while True:
        task = fetch_add(counter, 1)
        if task < band_tasks:
            image = first_image + task // bands
            begin = max(first_tile, image * sizes.tiles) - first_tile
            end = min(first_tile + tiles, (image + 1) * sizes.tiles) - first_tile
            _scatter(
                image, first_tile, begin, end, task % bands, bands, kept_points, points_each, grad_columns,
                column_row, extents, grad_x, sizes,
            )  # fmt: skip
            continue
        row = (task - band_tasks) * block
        if block == 0 or row >= sizes.out_channels:
            return
        for slot in range(tiles):
            tile = tile_of(first_tile + slot, sizes)
            multiply(
                shift(grad_rows, slot * sizes.tile * grad_row + row), 1, grad_row,
                shift(columns, slot * sizes.tile * column_row), lanes(columns), column_row, tile.positions,
                shift(grad_weight, row * column_row), column_row, min(block, sizes.out_channels - row),
                column_row // lanes(columns), first_tile + slot > 0,
            )  # fmt: skip


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
