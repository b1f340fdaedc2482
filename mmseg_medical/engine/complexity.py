"""Parameters and multiply-accumulate operations (MACs) of a network, deformable layers included."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from mmengine.model import revert_sync_batchnorm
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from mmseg_medical.errors import ConfigError, error_text
from mmseg_medical.models.layers import ModulatedDeformConv2d

# A sampled value blends 4 neighbours and is scaled by its mask.
_MACS_PER_SAMPLE = 5
_OPERATOR = torch.ops.mmseg_medical.modulated_deform_conv2d


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


def measure(network: nn.Module, size: tuple[int, ...], channels: int = 3) -> list[Complexity]:
    """Count one forward pass without doing it: on the meta device, so that any size takes neither time nor memory.

    Args:
        network: Segmentor or any module; ``network(inputs)`` is called, it is not changed.
        size: Of the input in pixels or voxels, two axes or three.
        channels: Channels of the input.

    Returns:
        list[Complexity]: The network first, then every module in the order of ``named_modules``.

    Raises:
        ConfigError: Nothing of this size or with these channels goes through the network.
    """
    network = revert_sync_batchnorm(copy.deepcopy(network)).to('meta').eval()
    for module in network.modules():
        if isinstance(module, ModulatedDeformConv2d):
            module.backend = 'auto'  # on the meta device one operator, which can be counted
        module.register_forward_hook(_listen)
    name = type(network).__name__
    counts = _count(network, channels, size, {})
    samples = _count(network, channels, size, {_OPERATOR: _sampling_flops})
    return list(_collect(network, name, '', counts, samples))


def _count(
    network: nn.Module, channels: int, size: tuple[int, ...], formulas: dict[Any, Any]
) -> dict[str, dict[Any, int]]:
    counter = FlopCounterMode(display=False, custom_mapping=formulas)
    try:
        with torch.no_grad(), counter:
            network(torch.empty(1, channels, *size, device='meta'))
    except RuntimeError as error:  # what torch says of sizes that do not fit
        shape = ' x '.join(map(str, (channels, *size)))
        raise ConfigError(f'an input of {shape} does not go through the network: {error_text(error)}') from error
    return counter.get_flop_counts()


def _listen(*_: Any) -> None:
    """A hook that does nothing; where one listens, blocks do not go over their input in pieces that overlap."""


def _collect(
    module: nn.Module,
    path: str,
    name: str,
    counts: dict[str, dict[Any, int]],
    samples: dict[str, dict[Any, int]],
) -> list[Complexity]:
    """The module, then its descendants; what a container or a directly called ``forward`` hides is summed up."""
    children = list(module.named_children())
    below = [_collect(child, f'{path}.{key}', f'{name}.{key}'.lstrip('.'), counts, samples) for key, child in children]
    sampling = max(samples.get(path, {}).get(_OPERATOR, 0) // 2, sum(rows[0].sampling_macs for rows in below))
    macs = max(sum(counts.get(path, {}).values()) // 2, sum(rows[0].macs for rows in below))
    parameters = sum(parameter.numel() for parameter in module.parameters())
    return [Complexity(name, parameters, macs, sampling), *(row for rows in below for row in rows)]


def _sampling_flops(
    input: Sequence[int], offset: Sequence[int], mask: Sequence[int], weight: Sequence[int], *_: Any, **__: Any
) -> int:
    taps, positions = weight[2] * weight[3], offset[2] * offset[3]
    return 2 * _MACS_PER_SAMPLE * input[0] * input[1] * taps * positions
