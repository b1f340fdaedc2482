"""Depth-wise convolution, channels last: a vector holds channels, a point's neighbours serve its whole offset group."""

from __future__ import annotations

from typing import Any

from mmseg_medical.ops.compile import inlined, kernel
from mmseg_medical.ops.deform_conv.cpu.fields import fields_of, planes_of
from mmseg_medical.ops.deform_conv.cpu.one_point import sample, sample_and_dot, spread
from mmseg_medical.ops.deform_conv.cpu.points import carve_points, differentiate_tile, locate_tile, spot_of, tile_of
from mmseg_medical.ops.deform_conv.cpu.tiles import read_tile, write_tile
from mmseg_medical.ops.simd import (
    fetch_add,
    fma,
    lanes,
    load,
    load_first,
    pointer,
    shift,
    store,
    store_first,
)


@kernel
def forward(
    counter: Any, memory: Any, memory_each: Any, x: Any, source: Any, weight: Any, bias: Any, out: Any,
    out_strides: Any, sizes: Any,
) -> None:  # fmt: skip
    """Write tiles of ``out`` until ``counter`` says that none is left; weight is (K, C)."""
    counter, x, weight, bias = pointer(counter), pointer(x), pointer(weight), pointer(bias)
    out = pointer(out)
    mine = shift(pointer(memory), fetch_add(shift(counter, 1), 1) * memory_each)
    points, spare = carve_points(mine, sizes)
    rows = shift(spare, source.size)
    channels = sizes.channels
    column = shift(rows, sizes.tile * channels)
    group_channels = channels // sizes.deform_groups
    while True:
        task = fetch_add(counter, 1)
        if task >= sizes.batch * sizes.tiles:
            return
        tile = tile_of(task, sizes)
        fields = fields_of(source, tile, sizes, spare)
        locate_tile(tile, fields, sizes, points)
        image = shift(x, tile.image * sizes.height * sizes.width * channels)
        for p in range(tile.positions):
            row = shift(rows, p * channels)
            for c in range(channels):
                row[c] = bias[c]
            for group in range(sizes.deform_groups):
                begin = group * group_channels
                for tap in range(sizes.taps):
                    spot = spot_of(group, tap, p, sizes)
                    if points.numbers[spot] >= 0:
                        sample(shift(image, begin), points, spot, column, group_channels, sizes)
                        _add_product(shift(row, begin), column, shift(weight, tap * channels + begin), group_channels)
        write_tile(rows, channels, out, out_strides, tile, channels)


@inlined
def _add_product(out: Any, a: Any, b: Any, count: Any) -> None:
    whole = count - count % lanes(out)
    for c in range(0, whole, lanes(out)):
        store(out, c, fma(load(a, c), load(b, c), load(out, c)))
    if whole < count:
        some = count - whole
        value = fma(load_first(a, whole, some), load_first(b, whole, some), load_first(out, whole, some))
        store_first(out, whole, some, value)


@inlined
def _multiply(out: Any, a: Any, b: Any, count: Any) -> None:
    whole = count - count % lanes(out)
    for c in range(0, whole, lanes(out)):
        store(out, c, load(a, c) * load(b, c))
    if whole < count:
        some = count - whole
        store_first(out, whole, some, load_first(a, whole, some) * load_first(b, whole, some))


@kernel
def columns_backward(
    counter: Any, memory: Any, memory_each: Any, x: Any, offset: Any, mask: Any, weight: Any, grad_output: Any,
    grad_strides: Any, grad_offset: Any, grad_mask: Any, grad_weight: Any, extents: Any, chunk: Any, sizes: Any,
) -> None:  # fmt: skip
    """Gradients of offset, mask and weight, and the first and last pixel that each tile samples.

    A task is ``chunk`` tiles; it has its own part of ``grad_weight`` (tasks, K, C), so that the sum over the parts does
    not depend on who did them. ``extents`` is (batch * tiles, 2).
    """
    counter, x, offset, mask = pointer(counter), pointer(x), pointer(offset), pointer(mask)
    weight, grad_output = pointer(weight), pointer(grad_output)
    grad_offset, grad_mask, grad_weight = pointer(grad_offset), pointer(grad_mask), pointer(grad_weight)
    extents = pointer(extents)
    mine = shift(pointer(memory), fetch_add(shift(counter, 1), 1) * memory_each)
    points, rows = carve_points(mine, sizes)
    channels = sizes.channels
    column = shift(rows, sizes.tile * channels)
    grad_column = shift(column, channels)
    group_channels = channels // sizes.deform_groups
    tiles = sizes.batch * sizes.tiles
    while True:
        task = fetch_add(counter, 1)
        if task * chunk >= tiles:
            return
        grad_part = shift(grad_weight, task * sizes.taps * channels)
        for number in range(task * chunk, min(task * chunk + chunk, tiles)):
            tile = tile_of(number, sizes)
            fields = planes_of(offset, mask, tile, sizes)
            locate_tile(tile, fields, sizes, points)
            read_tile(grad_output, grad_strides, tile, channels, rows, channels)
            image = shift(x, tile.image * sizes.height * sizes.width * channels)
            lowest, highest = sizes.height * sizes.width, -1
            for p in range(tile.positions):
                for group in range(sizes.deform_groups):
                    begin = group * group_channels
                    row = shift(rows, p * channels + begin)
                    for tap in range(sizes.taps):
                        spot, at = spot_of(group, tap, p, sizes), tap * channels + begin
                        if points.numbers[spot] >= 0:
                            lowest = min(lowest, points.numbers[spot])
                            highest = max(highest, points.numbers[spot + 3 * sizes.tile])
                            _multiply(grad_column, row, shift(weight, at), group_channels)
                            sample_and_dot(
                                shift(image, begin), points, spot, column, grad_column, group_channels, sizes
                            )
                            _add_product(shift(grad_part, at), row, column, group_channels)
            extents[2 * number] = lowest
            extents[2 * number + 1] = highest
            differentiate_tile(tile, fields, sizes, points, grad_offset, grad_mask)


@kernel
def input_backward(
    counter: Any, memory: Any, memory_each: Any, offset: Any, mask: Any, weight: Any, grad_output: Any,
    grad_strides: Any, extents: Any, grad_x: Any, bands: Any, sizes: Any,
) -> None:  # fmt: skip
    """Add to the gradient of the input, channels last.

    A task owns a band of pixel rows and adds to it in the order of the tiles, so every pixel sums in the same order
    however many bands or threads there are.
    """
    counter, weight, offset, mask = pointer(counter), pointer(weight), pointer(offset), pointer(mask)
    grad_output, grad_x, extents = pointer(grad_output), pointer(grad_x), pointer(extents)
    mine = shift(pointer(memory), fetch_add(shift(counter, 1), 1) * memory_each)
    points, rows = carve_points(mine, sizes)
    channels = sizes.channels
    grad_column = shift(rows, sizes.tile * channels)
    group_channels = channels // sizes.deform_groups
    while True:
        task = fetch_add(counter, 1)
        if task >= sizes.batch * bands:
            return
        image, band = task // bands, task % bands
        low = band * sizes.height // bands * sizes.width
        high = (band + 1) * sizes.height // bands * sizes.width
        grad_image = shift(grad_x, image * sizes.height * sizes.width * channels)
        for number in range(image * sizes.tiles, (image + 1) * sizes.tiles):
            if extents[2 * number] >= high or extents[2 * number + 1] < low:
                continue
            tile = tile_of(number, sizes)
            fields = planes_of(offset, mask, tile, sizes)
            locate_tile(tile, fields, sizes, points)
            read_tile(grad_output, grad_strides, tile, channels, rows, channels)
            for p in range(tile.positions):
                for group in range(sizes.deform_groups):
                    begin = group * group_channels
                    row = shift(rows, p * channels + begin)
                    for tap in range(sizes.taps):
                        _multiply(grad_column, row, shift(weight, tap * channels + begin), group_channels)
                        spread(
                            points, spot_of(group, tap, p, sizes), low, high, grad_column, shift(grad_image, begin),
                            group_channels, sizes,
                        )  # fmt: skip
