"""Tiles of maps, (position, channel) in rows, to and from any memory format."""

from __future__ import annotations

from typing import Any

from mmseg_medical.ops.compile import inlined


@inlined
def write_tile(rows: Any, row: Any, out: Any, strides: Any, tile: Any, channels: Any) -> None:
    """Copy rows of a tile, ``row`` elements apart, into a map; ``strides`` are those of image, channel, position."""
    by_image, by_channel, by_position = strides
    start = tile.image * by_image + tile.first * by_position
    if by_position == 1:
        for c in range(channels):
            for p in range(tile.positions):
                out[start + c * by_channel + p] = rows[p * row + c]
    else:
        for p in range(tile.positions):
            for c in range(channels):
                out[start + p * by_position + c] = rows[p * row + c]


@inlined
def write_planes(planes: Any, plane: Any, out: Any, strides: Any, tile: Any, channels: Any) -> None:
    """Copy planes of a tile, ``plane`` elements apart, into a map whose ``strides`` are those of :func:`write_tile`."""
    by_image, by_channel, by_position = strides
    start = tile.image * by_image + tile.first * by_position
    if by_position == 1:
        for c in range(channels):
            for p in range(tile.positions):
                out[start + c * by_channel + p] = planes[c * plane + p]
    else:
        for p in range(tile.positions):
            for c in range(channels):
                out[start + p * by_position + c] = planes[c * plane + p]


@inlined
def read_tile(source: Any, strides: Any, tile: Any, channels: Any, rows: Any, row: Any) -> None:
    """Copy a part of a map into rows of a tile."""
    by_image, by_channel, by_position = strides
    start = tile.image * by_image + tile.first * by_position
    if by_position == 1:
        for c in range(channels):
            for p in range(tile.positions):
                rows[p * row + c] = source[start + c * by_channel + p]
    else:
        for p in range(tile.positions):
            for c in range(channels):
                rows[p * row + c] = source[start + p * by_position + c]
