"""Numerics on tensors; nothing here knows registries, configs or files."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mmseg_medical.ops.labels import argmax_labels, resize_labels
from mmseg_medical.ops.sliding_memory import slide_memory_bytes
from mmseg_medical.ops.sliding_window import slide_windows
from mmseg_medical.ops.window_grid import sliding_windows

if TYPE_CHECKING:
    from mmseg_medical.ops.deform_conv import modulated_deform_conv2d

__all__ = [
    'argmax_labels',
    'modulated_deform_conv2d',
    'resize_labels',
    'slide_memory_bytes',
    'slide_windows',
    'sliding_windows',
]


def __getattr__(name: str) -> Any:
    # Registering the operator loads torch's compiler: 3 s that processes which only evaluate need not spend.
    if name == 'modulated_deform_conv2d':
        from mmseg_medical.ops.deform_conv import modulated_deform_conv2d

        return modulated_deform_conv2d
    raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
