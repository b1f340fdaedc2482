"""Parameters and multiply-accumulate operations (MACs) of a network, deformable layers included."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any
from unittest.mock import patch

import torch
from mmengine.model import revert_sync_batchnorm
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from mmseg_medical.models.layers import deform_conv

# A sampled value blends 4 neighbours and is scaled by its mask.
_MACS_PER_SAMPLE = 5


@dataclass(frozen=True)
class Complexity:
    """What one module, with all that is inside it, costs for one input.

    Attributes:
        name: Dotted name in the network, '' for the network itself.
        parameters: Number of parameters.
        macs: Multiply-accumulates of convolutions and matrix products; a deformable convolution counts as a plain
            one of its shape plus the convolution that computes its offsets. Norms, activations and resizing do not
            count, as in published tables.
        sampling_macs: Multiply-accumulates of the bilinear sampling in deformable convolutions, which published
            tables leave out.
    """

    name: str
    parameters: int
    macs: int
    sampling_macs: int


def measure(network: nn.Module, size: tuple[int, int], channels: int = 3) -> list[Complexity]:
    """Count one forward pass without doing it: on the meta device, so that any size takes neither time nor memory.

    Args:
        network: Segmentor or any module; ``network(inputs)`` is called, it is not changed.
        size: Height and width of the input in pixels.
        channels: Channels of the input.

    Returns:
        list[Complexity]: The network first, then every module in the order of ``named_modules``.
    """
    network = revert_sync_batchnorm(copy.deepcopy(network)).to('meta').eval()
    counter = FlopCounterMode(display=False, custom_mapping={_sample: _sampling_flops})
    with torch.no_grad(), patch.object(deform_conv, 'modulated_deform_conv2d', _deform_conv_shapes), counter:
        network(torch.empty(1, channels, *size, device='meta'))
    return list(_collect(network, type(network).__name__, '', counter.get_flop_counts()))


def _collect(module: nn.Module, path: str, name: str, counts: dict[str, dict[Any, int]]) -> list[Complexity]:
    """The module, then its descendants; what a container or a directly called ``forward`` hides is summed up."""
    children = list(module.named_children())
    below = [_collect(child, f'{path}.{key}', f'{name}.{key}'.lstrip('.'), counts) for key, child in children]
    flops = counts.get(path, {})
    sampling = max(flops.get(_sample, 0) // 2, sum(rows[0].sampling_macs for rows in below))
    macs = max(sum(flops.values()) // 2 - flops.get(_sample, 0) // 2, sum(rows[0].macs for rows in below))
    parameters = sum(parameter.numel() for parameter in module.parameters())
    return [Complexity(name, parameters, macs, sampling), *(row for rows in below for row in rows)]


@torch.library.custom_op('mmseg_medical::count_sampling', mutates_args=())
def _count_sampling(input: Tensor, points: int, positions: int) -> Tensor:
    raise NotImplementedError('exists for counting on the meta device only')


@_count_sampling.register_fake
def _(input: Tensor, points: int, positions: int) -> Tensor:
    return input.new_empty(input.shape[0], input.shape[1] * points, positions)


_sample = torch.ops.mmseg_medical.count_sampling


def _sampling_flops(input: Any, points: int, positions: int, *args: Any, **kwargs: Any) -> int:
    return 2 * _MACS_PER_SAMPLE * input[0] * input[1] * points * positions


def _deform_conv_shapes(
    input: Tensor,
    offset: Tensor,
    mask: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    *,
    groups: int = 1,
    backend: str = 'auto',
    **geometry: Any,
) -> Tensor:
    """Stand in for the operator: the same products of the same shapes, whatever back end would do them."""
    batch, height, width = offset.shape[0], *offset.shape[2:]
    columns = _sample(input, weight[0, 0].numel(), height * width)
    columns = columns.reshape(batch * groups, -1, height * width)
    kernel = weight.reshape(groups, weight.shape[0] // groups, -1).repeat(batch, 1, 1)
    return torch.bmm(kernel, columns).reshape(batch, -1, height, width)
