"""Numerics on tensors; nothing here knows registries, configs or files."""

from mmseg_medical.ops.deform_conv import modulated_deform_conv2d
from mmseg_medical.ops.window_merge import WindowMerger, sliding_windows

__all__ = ['WindowMerger', 'modulated_deform_conv2d', 'sliding_windows']
