"""Where the taps of a tile of output positions fall, as vectors over the positions."""

from __future__ import annotations

from typing import Any, NamedTuple

from mmseg_medical.ops.compile import inlined
from mmseg_medical.ops.simd import (
    as_int32,
    floor,
    fma,
    lanes,
    load,
    load_first,
    select,
    shift,
    splat,
    store,
    store_first,
    to_int,
)


class Sizes(NamedTuple):
    """Everything a kernel needs to know about one call."""

    batch: int
    channels: int
    out_channels: int
    height: int
    width: int
    out_height: int
    out_width: int
    kernel_height: int
    kernel_width: int
    stride_y: int
    stride_x: int
    padding_y: int
    padding_x: int
    dilation_y: int
    dilation_x: int
    groups: int
    deform_groups: int
    taps: int
    length: int  # positions of the output
    tile: int  # positions that are convolved together; a multiple of the lanes
    tiles: int  # of one image
    offset_image: int  # elements between the offsets of two images
    mask_image: int


class Tile(NamedTuple):
    """Output positions of an image, from ``first``."""

    image: int
    first: int
    positions: int


class Points(NamedTuple):
    """Memory of one thread for the sampled points of a tile, (points, 4, tile) each but for the grid.

    A point is a tap of an offset group. Its four neighbours come row by row.
    """

    grid_y: Any  # (tile), undisplaced position of the first tap
    grid_x: Any
    numbers: Any  # of the neighbours' pixels; the first is -1 where the sample lies outside
    weights: Any  # of the neighbours, mask included
    dots: Any  # sums over channels of neighbour times gradient


CORNERS = 4
# Far outside, whatever the kernel's reach: the position of a lane beyond the tile.
NOWHERE = -1e9


def points_size(deform_groups: int, taps: int, tile: int) -> int:
    """Elements of memory that :func:`carve_points` takes."""
    return 2 * tile + 3 * CORNERS * deform_groups * taps * tile


@inlined
def carve_points(memory: Any, sizes: Any) -> Any:
    """Points in the memory given, and what comes after them."""
    each = CORNERS * sizes.deform_groups * sizes.taps * sizes.tile
    start = shift(memory, 2 * sizes.tile)
    points = Points(memory, shift(memory, sizes.tile), as_int32(start), shift(start, each), shift(start, 2 * each))
    return points, shift(start, 3 * each)


@inlined
def tile_of(task: Any, sizes: Any) -> Any:
    """The task-th tile of the batch."""
    image, first = task // sizes.tiles, task % sizes.tiles * sizes.tile
    return Tile(image, first, min(sizes.tile, sizes.length - first))


@inlined
def lay_grid(tile: Any, sizes: Any, points: Any) -> None:
    """Fill the grid."""
    row, column = tile.first // sizes.out_width, tile.first % sizes.out_width
    for i in range(tile.positions):
        points.grid_y[i] = row * sizes.stride_y - sizes.padding_y
        points.grid_x[i] = column * sizes.stride_x - sizes.padding_x
        column += 1
        if column == sizes.out_width:
            row, column = row + 1, 0
    for i in range(tile.positions, sizes.tile):
        points.grid_y[i] = NOWHERE
        points.grid_x[i] = NOWHERE


class Place(NamedTuple):
    """Of one point: its undisplaced position relative to the first tap, and where its offsets and mask begin."""

    tap_y: int
    tap_x: int
    offset_at: int
    mask_at: int


@inlined
def place_of(point: Any, fields: Any, sizes: Any) -> Any:
    """The place of a point; integer division is slow enough to be kept out of loops over positions."""
    tap = point % sizes.taps
    return Place(
        tap // sizes.kernel_width * sizes.dilation_y,
        tap % sizes.kernel_width * sizes.dilation_x,
        2 * point * fields.plane,
        point * fields.plane,
    )


@inlined
def locate(tile: Any, place: Any, i: Any, fields: Any, sizes: Any, points: Any) -> Any:
    """One point at the positions ``i...`` of a tile, as vectors.

    Returns (inside, pixel numbers of the four neighbours, weight of the upper, lower, left, right neighbour, whether
    each of these four is on the map, mask). A neighbour outside has weight 0 and the number of the nearest on the map.
    """
    offset, offset_at, rest = fields.offset, place.offset_at + i, tile.positions - i
    zero, one, below = splat(0, offset), splat(1, offset), splat(-1, offset)
    y = load_first(offset, offset_at, rest) + (load(points.grid_y, i) + splat(place.tap_y, offset))
    x = load_first(offset, offset_at + fields.plane, rest) + (load(points.grid_x, i) + splat(place.tap_x, offset))
    inside = (y > below) & (y < splat(sizes.height, y)) & (x > below) & (x < splat(sizes.width, x))
    y = select(inside, y, zero)  # a number that fits an integer, NaN replaced
    x = select(inside, x, zero)
    floor_y, floor_x = floor(y), floor(x)
    lower, right = y - floor_y, x - floor_x
    row, column = to_int(floor_y), to_int(floor_x)
    none, unit, width = splat(0, row), splat(1, row), splat(sizes.width, row)
    last_row, last_column = splat(sizes.height - 1, row), splat(sizes.width - 1, row)
    has_upper, has_left = row >= none, column >= none
    has_lower, has_right = row < last_row, column < last_column
    upper_row = select(has_upper, row, none) * width
    lower_row = select(has_lower, row + unit, last_row) * width
    left_column = select(has_left, column, none)
    right_column = select(has_right, column + unit, last_column)
    return (
        inside,
        (upper_row + left_column, upper_row + right_column, lower_row + left_column, lower_row + right_column),
        (
            select(has_upper, one - lower, zero),
            select(has_lower, lower, zero),
            select(has_left, one - right, zero),
            select(has_right, right, zero),
        ),
        (has_upper, has_lower, has_left, has_right),
        load_first(fields.mask, place.mask_at + i, rest),
    )


@inlined
def corner_weights(sides: Any, scale: Any) -> Any:
    """Weights of the four neighbours, row by row, times ``scale``."""
    upper, lower, left, right = sides
    above, under = upper * scale, lower * scale
    return above * left, above * right, under * left, under * right


@inlined
def locate_tile(tile: Any, fields: Any, sizes: Any, points: Any) -> None:
    """Fill grid, numbers and weights for all points of a tile."""
    size = sizes.tile
    lay_grid(tile, sizes, points)
    for point in range(sizes.deform_groups * sizes.taps):
        here = place_of(point, fields, sizes)
        for i in range(0, size, lanes(fields.offset)):
            inside, corners, sides, _, modulation = locate(tile, here, i, fields, sizes, points)
            weights = corner_weights(sides, modulation)
            place = point * CORNERS * size + i
            store(points.numbers, place, select(inside, corners[0], splat(-1, corners[0])))
            store(points.numbers, place + size, corners[1])
            store(points.numbers, place + 2 * size, corners[2])
            store(points.numbers, place + 3 * size, corners[3])
            store(points.weights, place, weights[0])
            store(points.weights, place + size, weights[1])
            store(points.weights, place + 2 * size, weights[2])
            store(points.weights, place + 3 * size, weights[3])


@inlined
def differentiate_tile(tile: Any, fields: Any, sizes: Any, points: Any, grad_offset: Any, grad_mask: Any) -> None:
    """Gradients of a tile's offsets and masks from the points' dots; both are contiguous maps."""
    each, size = sizes.deform_groups * sizes.taps, sizes.tile
    for point in range(each):
        grad_at = (tile.image * each + point) * sizes.length + tile.first
        shift_at = 2 * (tile.image * each + point) * sizes.length + tile.first
        here = place_of(point, fields, sizes)
        for i in range(0, size, lanes(fields.offset)):
            place, rest = point * CORNERS * size + i, tile.positions - i
            dots = (
                load(points.dots, place),
                load(points.dots, place + size),
                load(points.dots, place + 2 * size),
                load(points.dots, place + 3 * size),
            )
            along_y, along_x, of_mask = differentiate(locate(tile, here, i, fields, sizes, points), dots)
            store_first(grad_offset, shift_at + i, rest, along_y)
            store_first(grad_offset, shift_at + sizes.length + i, rest, along_x)
            store_first(grad_mask, grad_at + i, rest, of_mask)


@inlined
def differentiate(located: Any, dots: Any) -> Any:
    """Derivative of the modulated sample by vertical and horizontal position and by the mask.

    ``dots`` are the neighbours' values times the gradient. At a whole pixel the derivative is that to the right.
    """
    inside, _, (upper, lower, left, right), (has_upper, has_lower, has_left, has_right), modulation = located
    dot_0, dot_1, dot_2, dot_3 = dots
    zero = splat(0, upper)
    upper_change = select(has_lower, dot_2, zero) - select(has_upper, dot_0, zero)
    lower_change = select(has_lower, dot_3, zero) - select(has_upper, dot_1, zero)
    along_y = left * upper_change + right * lower_change
    left_change = select(has_right, dot_1, zero) - select(has_left, dot_0, zero)
    right_change = select(has_right, dot_3, zero) - select(has_left, dot_2, zero)
    along_x = upper * left_change + lower * right_change
    of_mask = upper * (left * dot_0 + right * dot_1) + lower * (left * dot_2 + right * dot_3)
    return (
        select(inside, modulation * along_y, zero),
        select(inside, modulation * along_x, zero),
        select(inside, of_mask, zero),
    )


@inlined
def spot_of(group: Any, tap: Any, position: Any, sizes: Any) -> Any:
    """Index of a point's first neighbour in numbers, weights and dots; the others follow ``sizes.tile`` apart."""
    return (group * sizes.taps + tap) * CORNERS * sizes.tile + position


@inlined
def blend(portions: Any, values: Any) -> Any:
    """The modulated sample of four neighbours."""
    return fma(
        portions[0], values[0], fma(portions[1], values[1], fma(portions[2], values[2], portions[3] * values[3]))
    )
