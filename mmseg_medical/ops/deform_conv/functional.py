"""The one entry to modulated deformable convolution: checks shapes, picks a back end."""

from __future__ import annotations

import torch
from torch import Tensor

from mmseg_medical.ops.deform_conv import library, mmcv_backend, torch_backend
from mmseg_medical.ops.deform_conv.geometry import DeformGeometry
from mmseg_medical.ops.deform_conv.selection import choose


def modulated_deform_conv2d(
    input: Tensor,
    offset: Tensor,
    mask: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    *,
    stride: int | tuple[int, int] = 1,
    padding: int | tuple[int, int] = 0,
    dilation: int | tuple[int, int] = 1,
    groups: int = 1,
    deform_groups: int = 1,
    backend: str = 'auto',
) -> Tensor:
    r"""Convolve ``input`` at displaced, modulated taps (DCNv2, Zhu et al., CVPR 2019, doi:10.1109/CVPR.2019.00953).

    .. math:: y(p) = b + \sum_k W_k \, m_k(p) \, x(p \cdot stride - padding + dilation \cdot k + \Delta_k(p))

    with bilinear sampling of ``x`` and zeros outside. A pair of integers is (vertical, horizontal).

    Args:
        input: shape (N, C, H, W), floating point.
        offset: shape (N, 2 * G * K, H_out, W_out) with G deformable groups and K = kh * kw taps, in pixels of
            ``input``. Channel ``g * 2K + 2k`` holds the vertical, the next one the horizontal displacement.
        mask: shape (N, G * K, H_out, W_out), modulation, usually in [0, 1]; channel ``g * K + k``.
        weight: shape (C_out, C / groups, kh, kw).
        bias: shape (C_out,) or None.
        stride: step of the taps' centres.
        padding: zeros around ``input``.
        dilation: distance of neighbouring taps before displacement.
        groups: blocks of channels that are convolved apart.
        deform_groups: G; group g displaces channels ``[g * C / G, (g + 1) * C / G)``.
        backend: ``'numba'`` (CPU), ``'triton'`` (CUDA), ``'torch'`` (any device, traced and decomposed by compilers and
            exporters), ``'mmcv'`` (needs mmcv's compiled operators), or ``'auto'``: the first of
            :data:`~mmseg_medical.ops.deform_conv.selection.RULES` that can run here.

    A sample whose position is outside ``(-1, H) x (-1, W)``, or NaN, is zero and has no gradient. The derivative at a
    whole pixel is the one to the right. The arguments may differ in dtype, as under autocast; half precision is
    computed in float32. The backward pass of ``'numba'`` gives the same bits for any number of threads, that of
    ``'triton'`` after ``torch.use_deterministic_algorithms(True)``.

    Returns:
        Tensor of shape (N, C_out, H_out, W_out), dtype of ``input``.

    Raises:
        ValueError: shapes or devices that do not fit together, or an unknown back end.
        TypeError: an argument that is not of a floating dtype.
        ImportError: a back end was named that cannot run here; the message says what it needs.
    """
    geometry = DeformGeometry.of(input, offset, mask, weight, bias, stride, padding, dilation, groups, deform_groups)
    backend = choose(backend, input.device.type, input.dtype)
    if backend in library.FUSED:
        hyper = (geometry.stride, geometry.padding, geometry.dilation, groups, deform_groups)
        return library.fused(input, offset, mask, weight, bias, *hyper, backend)
    implementation = mmcv_backend if backend == 'mmcv' else torch_backend
    return implementation.modulated_deform_conv2d(input, offset, mask, weight, bias, geometry)
