"""Modulated deformable convolution (DCNv2) with interchangeable back ends."""

from mmseg_medical.ops.deform_conv.functional import modulated_deform_conv2d
from mmseg_medical.ops.deform_conv.selection import available_backends

__all__ = ['available_backends', 'modulated_deform_conv2d']
