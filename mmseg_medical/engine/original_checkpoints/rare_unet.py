"""Names of the released RARE-UNet in ours."""

from __future__ import annotations

import re
import warnings
from collections.abc import Mapping

from torch import Tensor

from mmseg_medical.errors import CheckpointError

_INDEX = r'(\d+)\.'
_LEAF = r'(weight|bias)$'
_SURPLUS = re.compile(r'^(?:msb_blocks|ms_heads)\.(\d+)\.')


def translate_rare_unet(weights: Mapping[str, Tensor], own: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Rename the weights of the released RARE-UNet; what is not known keeps its name.

    Older checkpoints have gates for levels that are not used; they are left out with a warning.

    Args:
        weights (Mapping[str, Tensor]): Original names.
        own (Mapping[str, Tensor]): Ours, of the network they are for.

    Raises:
        CheckpointError: Nothing looks like RARE-UNet, or its gates have another number of convolutions.
    """
    divisions = len({name.split('.')[1] for name in weights if name.startswith('up_convs.')})
    if not divisions or not any(name.startswith('msb_blocks.') for name in weights):
        raise CheckpointError(
            'not a checkpoint of the released RARE-UNet: no key starts with up_convs. or none with msb_blocks.; '
            f'it begins with {", ".join(list(weights)[:3])}'
        )
    kept = _without_surplus(weights, num_gates=_count(own, r'^backbone\.gates\.' + _INDEX))
    found = _count(kept, r'^msb_blocks\.0\.conv\.' + _INDEX + 'weight') // 2  # a convolution and a norm each
    wanted = _count(own, r'^backbone\.gates\.0\.' + _INDEX)
    if found != wanted:
        raise CheckpointError(
            f'its gates have {found} convolutions, those of the network {wanted}: set model.backbone.gate_depth={found}'
        )
    return {_rename(name, divisions): value for name, value in kept.items()}


def _rename(name: str, divisions: int) -> str:
    if match := re.match(r'^encoders\.(\d+)\.conv\.' + _INDEX + _LEAF, name):
        return f'backbone.unet.encoders.{match[1]}.{_layer(match[2])}.{match[3]}'
    if match := re.match(r'^bn\.conv\.' + _INDEX + _LEAF, name):
        return f'backbone.unet.encoders.{divisions}.{_layer(match[1])}.{match[2]}'
    if match := re.match(r'^up_convs\.' + _INDEX + _LEAF, name):
        return f'backbone.unet.ups.{divisions - 1 - int(match[1])}.conv.{match[2]}'
    if match := re.match(r'^decoders\.(\d+)\.conv\.' + _INDEX + _LEAF, name):
        return f'backbone.unet.decoders.{divisions - 1 - int(match[1])}.0.{_layer(match[2])}.{match[3]}'
    if match := re.match(r'^final_conv\.' + _LEAF, name):
        return f'decode_head.classifiers.0.{match[1]}'
    if match := re.match(r'^ms_heads\.' + _INDEX + _LEAF, name):
        return f'decode_head.classifiers.{int(match[1]) + 1}.{match[2]}'
    if match := re.match(r'^msb_blocks\.(\d+)\.conv\.' + _INDEX + _LEAF, name):
        return f'backbone.gates.{match[1]}.{_layer(match[2])}.{match[3]}'
    return name


def _layer(index: str) -> str:
    """Their rows are convolution, norm, activation, and so on, counted through."""
    number, kind = divmod(int(index), 3)
    return f'{number}.{("conv", "norm", "act")[kind]}'


def _count(names: Mapping[str, Tensor], pattern: str) -> int:
    """How many different numbers the names have where the pattern has its group."""
    return len({match[1] for name in names if (match := re.match(pattern, name))})


def _without_surplus(weights: Mapping[str, Tensor], num_gates: int) -> dict[str, Tensor]:
    surplus = {name for name in weights if (match := _SURPLUS.match(name)) and int(match[1]) >= num_gates}
    if surplus:
        warnings.warn(
            f'{len(surplus)} tensors of gates and heads below level {num_gates} are left out, the lowest that the '
            f'network enters: {", ".join(sorted(surplus)[:3])}, ...',
            stacklevel=2,
        )
    return {name: value for name, value in weights.items() if name not in surplus}
