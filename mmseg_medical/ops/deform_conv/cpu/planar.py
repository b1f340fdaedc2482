"""Convolution with few channels an offset group, channels first: a vector holds neighbouring positions.

Each position has neighbours of its own, so values are gathered; nothing else than that costs. It also takes every
grouping that the other two kernels do not.
"""

from __future__ import annotations

from typing import Any

from mmseg_medical.ops.compile import inlined, kernel
from mmseg_medical.ops.deform_conv.cpu.fields import fields_of, planes_of
from mmseg_medical.ops.deform_conv.cpu.phases import finish, take, wait
from mmseg_medical.ops.deform_conv.cpu.points import (
    CORNERS,
    blend,
    carve_points,
    corner_weights,
    differentiate,
    lay_grid,
    locate,
    place_of,
    tile_of,
)
from mmseg_medical.ops.deform_conv.cpu.product import ROWS, multiply
from mmseg_medical.ops.deform_conv.cpu.tiles import write_planes
from mmseg_medical.ops.simd import (
    fetch_add,
    fma,
    gather_pair,
    lanes,
    load,
    load_first,
    pointer,
    select,
    shift,
    splat,
    store,
    store_first,
    total,
)


@kernel
def forward(
    counter: Any, memory: Any, memory_each: Any, x: Any, source: Any, weight: Any, bias: Any, out: Any,
    out_strides: Any, sizes: Any,
) -> None:  # fmt: skip
    """Write tiles of ``out``; weight is (groups, C_out / groups, C / groups, K) with rows to spare."""
    counter, x = pointer(counter), pointer(x)
    weight, bias, out = pointer(weight), pointer(bias), pointer(out)
    mine = shift(pointer(memory), fetch_add(shift(counter, 1), 1) * memory_each)
    points, spare = carve_points(mine, sizes)
    columns = shift(spare, source.size)
    result = shift(columns, sizes.channels * sizes.taps * sizes.tile)
    depth = sizes.channels // sizes.groups * sizes.taps
    group_out = sizes.out_channels // sizes.groups
    while True:
        task = fetch_add(counter, 1)
        if task >= sizes.batch * sizes.tiles:
            return
        tile = tile_of(task, sizes)
        fields = fields_of(source, tile, sizes, spare)
        lay_grid(tile, sizes, points)
        for point in range(sizes.deform_groups * sizes.taps):
            _sample(tile, point, x, fields, columns, points, sizes)
        for c in range(sizes.out_channels):
            for i in range(0, sizes.tile, lanes(x)):
                store(result, c * sizes.tile + i, splat(bias[c], bias))
        for group in range(sizes.groups):
            multiply(
                shift(weight, group * group_out * depth), depth, 1,
                shift(columns, group * depth * sizes.tile), lanes(x), sizes.tile, depth,
                shift(result, group * group_out * sizes.tile), sizes.tile, group_out, sizes.tile // lanes(x),
                True,
            )  # fmt: skip
            # Rows beyond the group's are the next group's: sums of the wrong columns.
            for c in range((group + 1) * group_out, min((group + 1) * group_out + ROWS, sizes.out_channels)):
                for i in range(0, sizes.tile, lanes(x)):
                    store(result, c * sizes.tile + i, splat(bias[c], bias))
        write_planes(result, sizes.tile, out, out_strides, tile, sizes.out_channels)


@inlined
def _sample(tile: Any, point: Any, x: Any, fields: Any, columns: Any, points: Any, sizes: Any) -> None:
    """Modulated samples of all channels of a point's group, to columns (C, K, tile)."""
    plane, group_channels = sizes.height * sizes.width, sizes.channels // sizes.deform_groups
    begin, tap = point // sizes.taps * group_channels, point % sizes.taps
    place = place_of(point, fields, sizes)
    for i in range(0, sizes.tile, lanes(x)):
        inside, numbers, sides, _, modulation = locate(tile, place, i, fields, sizes, points)
        weights = corner_weights(sides, modulation)
        for c in range(begin, begin + group_channels):
            values = _gather(x, (tile.image * sizes.channels + c) * plane, numbers, sizes)
            sample = select(inside, blend(weights, values), splat(0, x))
            store(columns, (c * sizes.taps + tap) * sizes.tile + i, sample)


@inlined
def _gather(x: Any, start: Any, numbers: Any, sizes: Any) -> Any:
    """Values of the four neighbours, fetched as two adjacent pairs, both on the map."""
    first, second, third, _ = numbers
    zero, last = splat(0, first), splat(max(sizes.height * sizes.width - 2, 0), first)
    # The left neighbour starts a pair but in the last pixel of the map; one column outside, both are the same.
    upper, lower = select(first < last, first, last), select(third < last, third, last)
    single = (second - first) <= zero
    upper_pair, lower_pair = gather_pair(x, start, upper), gather_pair(x, start, lower)
    upper_left = select(first > upper, upper_pair[1], upper_pair[0])
    lower_left = select(third > lower, lower_pair[1], lower_pair[0])
    return (
        upper_left,
        select(single, upper_left, upper_pair[1]),
        lower_left,
        select(single, lower_left, lower_pair[1]),
    )


@kernel
def backward(
    counters: Any, memory: Any, memory_each: Any, slots: Any, x: Any, offset: Any, mask: Any, weight: Any,
    grad_output: Any, columns: Any, grad_columns: Any, grad_rows: Any, grad_offset: Any, grad_mask: Any, grad_x: Any,
    with_x: Any, grad_weight: Any, with_weight: Any, sizes: Any,
) -> None:  # fmt: skip
    """All gradients, ``slots`` tiles a round.

    weight as in :func:`forward`; maps are contiguous. Kept from the first phase of a round to the second: columns and
    grad_columns (slots, C, K, tile) and grad_rows (slots, C_out, tile), zero beyond a tile's last position. In the
    second phase, a task owns a channel of an image or a row of grad_weight (C_out, C / groups, K) and adds in the order
    of the tiles.
    """
    counters, x, offset, mask = pointer(counters), pointer(x), pointer(offset), pointer(mask)
    weight, grad_output, columns = pointer(weight), pointer(grad_output), pointer(columns)
    grad_columns, grad_rows, grad_offset = pointer(grad_columns), pointer(grad_rows), pointer(grad_offset)
    grad_mask, grad_x, grad_weight = pointer(grad_mask), pointer(grad_x), pointer(grad_weight)
    mine = shift(pointer(memory), fetch_add(counters, 1) * memory_each)
    points, spare = carve_points(mine, sizes)
    column_tile, grad_tile = sizes.channels * sizes.taps * sizes.tile, sizes.out_channels * sizes.tile
    all_tiles = sizes.batch * sizes.tiles
    phase = 0
    for first in range(0, all_tiles, slots):
        tiles = min(slots, all_tiles - first)
        while True:
            slot = take(counters, phase)
            if slot >= tiles:
                break
            tile, column = tile_of(first + slot, sizes), shift(columns, slot * column_tile)
            grad_column, rows = shift(grad_columns, slot * column_tile), shift(grad_rows, slot * grad_tile)
            fields = planes_of(offset, mask, tile, sizes)
            lay_grid(tile, sizes, points)
            _grad_columns(tile, weight, grad_output, rows, grad_column, spare, sizes)
            for point in range(sizes.deform_groups * sizes.taps):
                _differentiate(tile, point, x, fields, column, grad_column, grad_offset, grad_mask, points, sizes)
            finish(counters, phase)
        wait(counters, phase, tiles)
        phase += 1

        first_image, last_image = first // sizes.tiles, (first + tiles - 1) // sizes.tiles
        planes = (last_image - first_image + 1) * sizes.channels if with_x else 0
        tasks = planes + (sizes.out_channels if with_weight else 0)
        while True:
            task = take(counters, phase)
            if task >= tasks:
                break
            if task < planes:
                image = first_image + task // sizes.channels
                for slot in range(max(first, image * sizes.tiles), min(first + tiles, (image + 1) * sizes.tiles)):
                    tile = tile_of(slot, sizes)
                    fields = planes_of(offset, mask, tile, sizes)
                    grad_column = shift(grad_columns, (slot - first) * column_tile)
                    _scatter(tile, task % sizes.channels, fields, grad_column, grad_x, points, sizes)
            else:
                _add_weight_row(task - planes, tiles, columns, grad_rows, grad_weight, sizes)
            finish(counters, phase)
        wait(counters, phase, tasks)
        phase += 1


@inlined
def _grad_columns(
    tile: Any, weight: Any, grad_output: Any, rows: Any, grad_columns: Any, spare: Any, sizes: Any
) -> None:
    """The gradient of a tile's output, in rows (C_out, tile), and of its columns (C, K, tile)."""
    depth = sizes.channels // sizes.groups * sizes.taps
    group_out, size = sizes.out_channels // sizes.groups, sizes.tile
    for c in range(sizes.out_channels):
        at = (tile.image * sizes.out_channels + c) * sizes.length + tile.first
        for i in range(0, size, lanes(rows)):
            store(rows, c * size + i, load_first(grad_output, at + i, tile.positions - i))
    for group in range(sizes.groups):
        # Rounded up, the rows would run into those of a slot that another thread fills.
        multiply(
            shift(weight, group * group_out * depth), 1, depth, shift(rows, group * group_out * size), lanes(rows),
            size, group_out, spare, size, depth, size // lanes(rows), False,
        )  # fmt: skip
        for i in range(0, depth * size, lanes(rows)):
            store(grad_columns, group * depth * size + i, load(spare, i))


@inlined
def _differentiate(
    tile: Any, point: Any, x: Any, fields: Any, columns: Any, grad_columns: Any, grad_offset: Any,
    grad_mask: Any, points: Any, sizes: Any,
) -> None:  # fmt: skip
    """Sample a point again; its gradients are sums over the channels of its group."""
    plane, group_channels = sizes.height * sizes.width, sizes.channels // sizes.deform_groups
    begin, tap = point // sizes.taps * group_channels, point % sizes.taps
    place = place_of(point, fields, sizes)
    number = tile.image * sizes.deform_groups * sizes.taps + point
    for i in range(0, sizes.tile, lanes(x)):
        located = locate(tile, place, i, fields, sizes, points)
        inside, numbers, sides, _, modulation = located
        weights = corner_weights(sides, modulation)
        dot_0 = dot_1 = dot_2 = dot_3 = splat(0, x)
        for c in range(begin, begin + group_channels):
            at = (c * sizes.taps + tap) * sizes.tile + i
            values = _gather(x, (tile.image * sizes.channels + c) * plane, numbers, sizes)
            gradient = load(grad_columns, at)
            dot_0, dot_1 = fma(gradient, values[0], dot_0), fma(gradient, values[1], dot_1)
            dot_2, dot_3 = fma(gradient, values[2], dot_2), fma(gradient, values[3], dot_3)
            store(columns, at, select(inside, blend(weights, values), splat(0, x)))
        along_y, along_x, of_mask = differentiate(located, (dot_0, dot_1, dot_2, dot_3))
        rest, grad_at = tile.positions - i, number * sizes.length + tile.first + i
        shift_at = 2 * number * sizes.length + tile.first + i
        store_first(grad_offset, shift_at, rest, along_y)
        store_first(grad_offset, shift_at + sizes.length, rest, along_x)
        store_first(grad_mask, grad_at, rest, of_mask)


@inlined
def _scatter(tile: Any, channel: Any, fields: Any, grad_columns: Any, grad_x: Any, points: Any, sizes: Any) -> None:
    plane = shift(grad_x, (tile.image * sizes.channels + channel) * sizes.height * sizes.width)
    group, size = channel // (sizes.channels // sizes.deform_groups), sizes.tile
    numbers, weights = points.numbers, points.weights
    lay_grid(tile, sizes, points)
    for tap in range(sizes.taps):
        place = place_of(group * sizes.taps + tap, fields, sizes)
        for i in range(0, size, lanes(grad_x)):
            inside, corners, sides, _, modulation = locate(tile, place, i, fields, sizes, points)
            gradient = load(grad_columns, (channel * sizes.taps + tap) * size + i)
            portions = corner_weights(sides, modulation * gradient)
            store(numbers, i, select(inside, corners[0], splat(-1, corners[0])))
            store(numbers, i + size, corners[1])
            store(numbers, i + 2 * size, corners[2])
            store(numbers, i + 3 * size, corners[3])
            store(weights, i, portions[0])
            store(weights, i + size, portions[1])
            store(weights, i + 2 * size, portions[2])
            store(weights, i + 3 * size, portions[3])
        for p in range(tile.positions):
            if numbers[p] >= 0:
                for here in range(p, p + CORNERS * size, size):
                    plane[numbers[here]] += weights[here]


@inlined
def _add_weight_row(row: Any, tiles: Any, columns: Any, grad_rows: Any, grad_weight: Any, sizes: Any) -> None:
    depth = sizes.channels // sizes.groups * sizes.taps
    first = row // (sizes.out_channels // sizes.groups) * depth
    for slot in range(tiles):
        gradient = shift(grad_rows, (slot * sizes.out_channels + row) * sizes.tile)
        column = shift(columns, (slot * sizes.channels * sizes.taps + first) * sizes.tile)
        for k in range(depth):
            dot = splat(0, gradient)
            for i in range(0, sizes.tile, lanes(columns)):
                dot = fma(load(gradient, i), load(column, k * sizes.tile + i), dot)
            grad_weight[row * depth + k] += total(dot)
