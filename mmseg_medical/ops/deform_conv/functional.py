"""The one entry to modulated deformable convolution: checks shapes, picks a back end."""

from __future__ import annotations

import torch
from torch import Tensor

from mmseg_medical.ops.deform_conv import library, mmcv_backend, torch_backend
from mmseg_medical.ops.deform_conv.geometry import DeformGeometry, to_pair
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


def modulated_deform_conv2d_pack(
    input: Tensor,
    offset_weight: Tensor,
    offset_bias: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    *,
    stride: int | tuple[int, int] = 1,
    padding: int | tuple[int, int] = 0,
    dilation: int | tuple[int, int] = 1,
    groups: int = 1,
    deform_groups: int = 1,
) -> Tensor:
    """Convolve at offsets and masks that a plain convolution of ``input`` gives: a whole DCNv2 layer, for inference.

    The branch is computed tile by tile in the cache of a core, so neither its output (with an offset group a channel,
    3 K times the input) nor its sigmoid is ever written to memory. CPU only, no gradient; :func:`can_pack` tells.

    Args:
        input: shape (N, C, H, W), floating point, on the CPU.
        offset_weight: shape (3 G K, C, kh, kw); the first two thirds of the branch's channels are the offsets, the
            sigmoid of the last third the masks, in the order of :func:`modulated_deform_conv2d`.
        offset_bias: shape (3 G K,).
        weight: shape (C_out, C / groups, kh, kw).
        bias: shape (C_out,) or None.
        stride: of both convolutions, like the next two.
        padding: zeros around ``input``.
        dilation: distance of neighbouring taps.
        groups: blocks of channels that are convolved apart.
        deform_groups: G.

    Returns:
        Tensor of shape (N, C_out, H_out, W_out), dtype and memory format of ``input``.

    Raises:
        ValueError: shapes or devices that do not fit together.
        TypeError: an argument that is not of a floating dtype.
    """
    hyper = (to_pair(stride), to_pair(padding), to_pair(dilation), groups, deform_groups)
    return library.fused_pack(input, offset_weight, offset_bias, weight, bias, *hyper)


def can_pack(input: Tensor, backend: str = 'auto') -> bool:
    """Whether :func:`modulated_deform_conv2d_pack` serves this input here and now.

    It does on the CPU where ``backend`` is, or 'auto' picks, numba, unless gradients are wanted or the network is being
    exported (its two convolutions are standard operators, the fused one is not).
    """
    if torch.is_grad_enabled() or torch.compiler.is_exporting() or input.device.type != 'cpu':
        return False
    return choose(backend, 'cpu', input.dtype) == 'numba'
