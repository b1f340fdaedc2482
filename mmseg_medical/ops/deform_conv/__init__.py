"""Modulated deformable convolution (DCNv2) with interchangeable back ends."""

from mmseg_medical.ops.deform_conv.functional import can_pack, modulated_deform_conv2d, modulated_deform_conv2d_pack
from mmseg_medical.ops.deform_conv.selection import available_backends

__all__ = ['available_backends', 'can_pack', 'modulated_deform_conv2d', 'modulated_deform_conv2d_pack']
