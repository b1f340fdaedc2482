"""Portable back end: bilinear sampling by ``grid_sample``, then one matrix product a group."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from mmseg_medical.ops.deform_conv.geometry import DeformGeometry

requirement = 'it runs everywhere'


def available() -> bool:
    """Always."""
    return True


def modulated_deform_conv2d(
    input: Tensor, offset: Tensor, mask: Tensor, weight: Tensor, bias: Tensor | None, geometry: DeformGeometry
) -> Tensor:
    """See :func:`mmseg_medical.ops.modulated_deform_conv2d`; the arguments have been checked.

    Half precision is sampled in float32: positions of a map wider than 2048 pixels do not fit into 11 bits.
    """
    dtype = torch.float32 if input.dtype in (torch.float16, torch.bfloat16) else input.dtype
    n, channels = input.shape[:2]
    k, g, groups = geometry.taps, geometry.deform_groups, geometry.groups
    length = geometry.out_size[0] * geometry.out_size[1]

    columns = _sample(input.to(dtype), offset.to(dtype), geometry)  # (N, G, C/G, K, L)
    columns = columns * mask.to(dtype).reshape(n, g, 1, k, length)
    columns = columns.reshape(n, groups, channels // groups * k, length)
    kernel = weight.to(dtype).reshape(groups, weight.shape[0] // groups, -1)
    out = torch.matmul(kernel, columns).reshape(n, weight.shape[0], *geometry.out_size)
    if bias is not None:
        out = out + bias.to(out.dtype).reshape(1, -1, 1, 1)
    return out.to(input.dtype)


def _sample(input: Tensor, offset: Tensor, geometry: DeformGeometry) -> Tensor:
    """Bilinear samples at every displaced tap, shape (N, G, C/G, K, L); corner weights are shared by a group."""
    n, channels, height, width = input.shape
    g, k = geometry.deform_groups, geometry.taps
    out_h, out_w = geometry.out_size

    # grid_sample's normalised coordinates survive the way there and back exactly only if the sides are powers of two.
    # Otherwise a tap on a whole pixel (every tap of a zero-initialised offset branch) may fall just left of it, and
    # the gradient of its offset becomes the left instead of the right difference. Padding with zeros changes nothing
    # else: there are zeros outside anyway.
    padded_h, padded_w = _power_of_two(height), _power_of_two(width)
    source = F.pad(input, (0, padded_w - width, 0, padded_h - height))
    source = source.reshape(n * g, channels // g, padded_h, padded_w)

    displacement = offset.reshape(n * g, k, 2, out_h, out_w)
    y = _confine(displacement[:, :, 0] + _tap_positions(input, geometry, axis=0), height)
    x = _confine(displacement[:, :, 1] + _tap_positions(input, geometry, axis=1), width)
    grid = torch.stack(((2 * x + 1) / padded_w - 1, (2 * y + 1) / padded_h - 1), dim=-1)
    grid = grid.reshape(n * g, k * out_h, out_w, 2)

    parts = _parts(n * g, k * out_h, input.device)
    if parts > 1:
        source = source.repeat_interleave(parts, dim=0)
        grid = grid.reshape(n * g * parts, -1, out_w, 2)
    samples = F.grid_sample(source, grid, mode='bilinear', padding_mode='zeros', align_corners=False)
    if parts > 1:
        samples = samples.reshape(n * g, parts, channels // g, -1).transpose(1, 2)
    return samples.reshape(n, g, channels // g, k, out_h * out_w)


def _confine(position: Tensor, length: int) -> Tensor:
    # Positions far outside would overflow grid_sample's integers. At -1 itself the sample is zero and, as in mmcv,
    # its gradient too: a tap of an undisplaced kernel that lies on the padding does not move.
    return position.clamp(max=length + 1).where(position > -1, -2.0)


def _tap_positions(input: Tensor, geometry: DeformGeometry, axis: int) -> Tensor:
    """Undisplaced positions along one axis, shape (K, H_out, 1) for axis 0 and (K, 1, W_out) for axis 1."""
    kernel_w = geometry.kernel[1]
    tap = torch.arange(geometry.taps, device=input.device)
    tap = tap // kernel_w if axis == 0 else tap % kernel_w
    centre = torch.arange(geometry.out_size[axis], device=input.device) * geometry.stride[axis]
    position = centre[None, :] - geometry.padding[axis] + tap[:, None] * geometry.dilation[axis]
    position = position[:, :, None] if axis == 0 else position[:, None, :]
    return position.to(input.dtype)


def _parts(batch: int, rows: int, device: torch.device) -> int:
    # On the CPU grid_sample runs in parallel over its batch only; a small batch is cut into row blocks. Compilers and
    # exporters, whose programs may run elsewhere, do that themselves.
    if torch.compiler.is_compiling():
        return 1
    threads = torch.get_num_threads()
    if device.type != 'cpu' or batch >= threads:
        return 1
    return next(parts for parts in range(min(threads, rows), 0, -1) if rows % parts == 0)


def _power_of_two(length: int) -> int:
    return 1 << (length - 1).bit_length()
