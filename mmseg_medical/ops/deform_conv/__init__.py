"""Modulated deformable convolution (DCNv2) with interchangeable back ends."""

from mmseg_medical.ops.deform_conv.functional import available_backends, modulated_deform_conv2d

__all__ = ['available_backends', 'modulated_deform_conv2d']
