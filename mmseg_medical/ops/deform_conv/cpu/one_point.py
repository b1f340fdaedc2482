"""One point, channels last: its neighbours are rows of channels, its portions of them single numbers."""

from __future__ import annotations

from typing import Any

from mmseg_medical.ops.compile import inlined
from mmseg_medical.ops.deform_conv.cpu.points import CORNERS, blend
from mmseg_medical.ops.simd import (
    fma,
    lanes,
    load,
    load_first,
    shift,
    splat,
    store,
    store_first,
    total,
)


@inlined
def _neighbours(image: Any, points: Any, spot: Any, sizes: Any) -> Any:
    """Pointers to the first channel of a point's four neighbours."""
    numbers, size, channels = points.numbers, sizes.tile, sizes.channels
    return (
        shift(image, numbers[spot] * channels),
        shift(image, numbers[spot + size] * channels),
        shift(image, numbers[spot + 2 * size] * channels),
        shift(image, numbers[spot + 3 * size] * channels),
    )


@inlined
def _portions(points: Any, spot: Any, size: Any) -> Any:
    """The neighbours' weights, each as a vector."""
    weights = points.weights
    return (
        splat(weights[spot], weights),
        splat(weights[spot + size], weights),
        splat(weights[spot + 2 * size], weights),
        splat(weights[spot + 3 * size], weights),
    )


@inlined
def _values(neighbours: Any, c: Any) -> Any:
    first, second, third, fourth = neighbours
    return load(first, c), load(second, c), load(third, c), load(fourth, c)


@inlined
def _last_values(neighbours: Any, c: Any, some: Any) -> Any:
    first, second, third, fourth = neighbours
    return (
        load_first(first, c, some), load_first(second, c, some), load_first(third, c, some), load_first(fourth, c, some)
    )  # fmt: skip


@inlined
def sample(image: Any, points: Any, spot: Any, column: Any, count: Any, sizes: Any) -> None:
    """Write one point's ``count`` modulated samples to ``column``; zeros where it lies outside."""
    whole = count - count % lanes(column)
    if points.numbers[spot] < 0:
        for c in range(0, whole, lanes(column)):
            store(column, c, splat(0, column))
        if whole < count:
            store_first(column, whole, count - whole, splat(0, column))
        return
    neighbours, portions = _neighbours(image, points, spot, sizes), _portions(points, spot, sizes.tile)
    for c in range(0, whole, lanes(column)):
        store(column, c, blend(portions, _values(neighbours, c)))
    if whole < count:
        some = count - whole
        store_first(column, whole, some, blend(portions, _last_values(neighbours, whole, some)))


@inlined
def sample_and_dot(image: Any, points: Any, spot: Any, column: Any, grad_column: Any, count: Any, sizes: Any) -> None:
    """As :func:`sample`; also multiply the neighbours by the gradient of the samples."""
    neighbours, portions = _neighbours(image, points, spot, sizes), _portions(points, spot, sizes.tile)
    whole = count - count % lanes(column)
    dot_0 = dot_1 = dot_2 = dot_3 = splat(0, column)
    for c in range(0, whole, lanes(column)):
        gradient, values = load(grad_column, c), _values(neighbours, c)
        dot_0, dot_1 = fma(gradient, values[0], dot_0), fma(gradient, values[1], dot_1)
        dot_2, dot_3 = fma(gradient, values[2], dot_2), fma(gradient, values[3], dot_3)
        store(column, c, blend(portions, values))
    if whole < count:
        some = count - whole
        gradient, values = load_first(grad_column, whole, some), _last_values(neighbours, whole, some)
        dot_0, dot_1 = fma(gradient, values[0], dot_0), fma(gradient, values[1], dot_1)
        dot_2, dot_3 = fma(gradient, values[2], dot_2), fma(gradient, values[3], dot_3)
        store_first(column, whole, some, blend(portions, values))
    dots, size = points.dots, sizes.tile
    dots[spot], dots[spot + size] = total(dot_0), total(dot_1)
    dots[spot + 2 * size], dots[spot + 3 * size] = total(dot_2), total(dot_3)


@inlined
def spread(points: Any, spot: Any, low: Any, high: Any, gradient: Any, grad_image: Any, count: Any, sizes: Any) -> None:
    """Add the gradient of the samples to those neighbours whose pixels are in ``low`` ... ``high - 1``."""
    numbers, weights, size = points.numbers, points.weights, sizes.tile
    if numbers[spot] < 0:
        return
    whole = count - count % lanes(gradient)
    for here in range(spot, spot + CORNERS * size, size):
        if low <= numbers[here] and numbers[here] < high:
            pixel, portion = shift(grad_image, numbers[here] * sizes.channels), splat(weights[here], weights)
            for c in range(0, whole, lanes(gradient)):
                store(pixel, c, fma(portion, load(gradient, c), load(pixel, c)))
            if whole < count:
                some = count - whole
                before = load_first(pixel, whole, some)
                store_first(pixel, whole, some, fma(portion, load_first(gradient, whole, some), before))
