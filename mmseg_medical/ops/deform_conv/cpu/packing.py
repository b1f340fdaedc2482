"""Weights, (C_out, C, K), in the orders that products of channels-last columns, (K, C), read and write."""

from __future__ import annotations

from typing import Any

from mmseg_medical.ops.compile import kernel
from mmseg_medical.ops.simd import fetch_add, lanes, pointer, shift


@kernel
def pack_by_output(counter: Any, weight: Any, panels: Any, sizes: Any) -> None:
    """Panels (vectors of C_out, K, C, lanes); lanes beyond C_out are zero."""
    counter, weight, panels = pointer(counter), pointer(weight), pointer(panels)
    depth, width = sizes.channels * sizes.taps, lanes(weight)
    while True:
        vector = fetch_add(counter, 1)
        first = vector * width
        if first >= sizes.out_channels:
            return
        panel = shift(panels, first * depth)
        some = min(width, sizes.out_channels - first)
        source = shift(weight, first * depth)
        for c in range(sizes.channels):
            for tap in range(sizes.taps):
                row, at = shift(panel, (tap * sizes.channels + c) * width), c * sizes.taps + tap
                for lane in range(some):
                    row[lane] = source[lane * depth + at]
                for lane in range(some, width):
                    row[lane] = 0


@kernel
def pack_by_input(counter: Any, weight: Any, panels: Any, sizes: Any) -> None:
    """Panels (vectors of K * C, C_out, lanes); lanes beyond K * C are zero."""
    counter, weight, panels = pointer(counter), pointer(weight), pointer(panels)
    depth, width = sizes.channels * sizes.taps, lanes(weight)
    while True:
        vector = fetch_add(counter, 1)
        first = vector * width
        if first >= depth:
            return
        panel = shift(panels, first * sizes.out_channels)
        for out in range(sizes.out_channels):
            row, source = shift(panel, out * width), shift(weight, out * depth)
            tap, c = first // sizes.channels, first % sizes.channels
            for lane in range(width):
                row[lane] = source[c * sizes.taps + tap] if tap < sizes.taps else 0
                c += 1
                if c == sizes.channels:
                    tap, c = tap + 1, 0


@kernel
def unpack_gradient(counter: Any, packed: Any, row: Any, grad_weight: Any, sizes: Any) -> None:
    """The gradient of the weight from rows (K, C), ``row`` elements apart."""
    counter, packed, grad_weight = pointer(counter), pointer(packed), pointer(grad_weight)
    while True:
        out = fetch_add(counter, 1)
        if out >= sizes.out_channels:
            return
        source, target = shift(packed, out * row), shift(grad_weight, out * sizes.channels * sizes.taps)
        for c in range(sizes.channels):
            for tap in range(sizes.taps):
                target[c * sizes.taps + tap] = source[tap * sizes.channels + c]
